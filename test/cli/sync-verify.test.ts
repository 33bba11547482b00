/** What upstream holds, compared with the log by the built command line: while the broker runs and when it does not. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ControlClient } from '../../broker/operations/control/control-client.ts'
import { headwater, publish, scratch, startBroker } from './headwater.ts'

const ARCHIVE = join('data', 'upstream')

interface Verified {
  isWhole: boolean
  upstreams: {
    upstream: string
    partitions: { stream: string; compared: number; missing: { records: number } }[]
  }[]
}

interface Status {
  upstreams: { lagRecords: number; partitions: { position: number | null }[] }[]
}

async function settled(home: string, records: number): Promise<void> {
  for (let tries = 0; tries < 400; tries++) {
    const client = await ControlClient.of(join(home, 'data'))
    const { upstreams } = await client.json<Status>('GET', '/sync/status')
    const sent = upstreams[0]!.partitions.reduce((sum, { position }) => sum + (position ?? 0), 0)
    if (upstreams[0]!.lagRecords === 0 && sent === records) return
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
  throw new Error('the archive does not catch up')
}

const messages = (count: number): [string, string][] =>
  Array.from({ length: count }, (_, i) => [`plant/${i % 5}`, `value ${i}`])

test('sync verify compares a running broker, then a stopped one, and finds what was taken away', async () => {
  const home = scratch()
  const { broker, port } = await startBroker([], home)
  await publish(port, messages(300))
  await settled(home, 300)
  const running = await headwater(['sync', 'verify'], home)
  expect(running).toMatchObject({ code: 0, stderr: '' })
  expect(running.stdout).toMatch(/^whole: 0 missing, 0 duplicated; 300 records the same on both sides$/m)
  const json = JSON.parse((await headwater(['sync', 'verify', 'archive', '--json'], home)).stdout) as Verified
  expect(json.isWhole).toBe(true)
  expect(json.upstreams[0]!.partitions.reduce((sum, { compared }) => sum + compared, 0)).toBe(300)
  await broker.end('SIGTERM')

  const stopped = await headwater(['sync', 'verify'], home)
  expect(stopped.stdout).toMatch(/^whole: 0 missing, 0 duplicated; 300 records/m)
  const some = await headwater(
    ['sync', 'verify', '--stream', 'events', '-p', '0', '--from', '1', '--json'],
    home,
  )
  expect((JSON.parse(some.stdout) as Verified).upstreams[0]!.partitions).toHaveLength(1)

  rmSync(join(home, ARCHIVE), { recursive: true })
  const lost = await headwater(['sync', 'verify'], home)
  expect(lost.code).toBe(1)
  expect(lost.stdout).toMatch(/^missing {2}events\/\d offsets 0 to \d+$/m)
  expect(lost.stdout).toMatch(/^faulty: 300 missing, 0 duplicated; 0 records the same on both sides$/m)
}, 120_000)

test('sync verify says in one line what cannot be', async () => {
  const home = scratch()
  const { broker } = await startBroker([], home)
  const unknown = await headwater(['sync', 'verify', 'central'], home)
  expect(unknown.code).not.toBe(0)
  expect(unknown.stderr).toBe(
    'headwater: HW_UNKNOWN_UPSTREAM: there is no upstream "central" - upstreams here: archive\n',
  )
  const offset = await headwater(['sync', 'verify', '--partition', '1'], home)
  expect(offset).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/^headwater: HW_USAGE: .* - add --stream\n$/),
  })
  const stream = await headwater(['sync', 'verify', '--stream', 'nothing'], home)
  expect(stream.stderr).toMatch(/^headwater: HW_UNKNOWN_STREAM: /)
  await broker.end('SIGTERM')
}, 120_000)
