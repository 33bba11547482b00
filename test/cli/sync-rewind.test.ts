/** A position moved by the built command line, and what `sync verify` says of it afterwards. */
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ControlClient } from '../../broker/operations/control/control-client.ts'
import { headwater, publish, scratch, startBroker } from './headwater.ts'

interface Status {
  upstreams: { state: string; lagRecords: number; sentRecords: number }[]
}

async function until(home: string, isSo: (status: Status['upstreams'][0]) => boolean): Promise<void> {
  for (let tries = 0; tries < 400; tries++) {
    const client = await ControlClient.of(join(home, 'data'))
    const { upstreams } = await client.json<Status>('GET', '/sync/status')
    if (isSo(upstreams[0]!)) return
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
  throw new Error('the archive does not come to what was waited for')
}

const messages = (count: number): [string, string][] =>
  Array.from({ length: count }, (_, i) => [`plant/${i % 5}`, `value ${i}`])

test('sync rewind sends again and skips what it says, asks before, and refuses what cannot be', async () => {
  const home = scratch()
  const { broker, port } = await startBroker([], home)
  await publish(port, messages(100))
  await until(home, ({ sentRecords }) => sentRecords === 100)

  const asked = await headwater(['sync', 'rewind', 'archive', 'events', '--to', 'earliest'], home)
  expect(asked).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/^headwater: HW_USAGE: .* - add --yes/),
  })
  expect(asked.stdout).toMatch(/SENT AGAIN/)
  const whole = await headwater(['sync', 'verify'], home)
  expect(whole.code).toBe(0)

  const back = await headwater(['sync', 'rewind', 'archive', 'events', '--to', 'earliest', '--yes'], home)
  expect(back).toMatchObject({ code: 0, stderr: '' })
  expect(back.stdout).toMatch(/^archive: moved; 100 records sent again: upstream has them twice then$/m)
  await until(home, ({ sentRecords, lagRecords }) => sentRecords === 200 && lagRecords === 0)
  const twice = await headwater(['sync', 'verify'], home)
  expect(twice.code).toBe(1)
  expect(twice.stdout).toMatch(/^faulty: 0 missing, 100 duplicated; 100 records the same on both sides$/m)

  await headwater(['sync', 'pause', 'archive'], home)
  await publish(port, messages(40))
  const forward = await headwater(
    ['sync', 'rewind', 'archive', 'events', '--to', 'latest', '--yes', '--json'],
    home,
  )
  const { moved } = JSON.parse(forward.stdout) as { moved: { skipped: number; sentAgain: number }[] }
  expect(moved.reduce((sum, { skipped }) => sum + skipped, 0)).toBe(40)
  expect(moved.every(({ sentAgain }) => sentAgain === 0)).toBe(true)
  await until(home, ({ state, lagRecords }) => state === 'paused' && lagRecords === 0)
  await headwater(['sync', 'resume', 'archive'], home)
  await publish(port, messages(10))
  await until(home, ({ sentRecords, lagRecords }) => sentRecords === 210 && lagRecords === 0)
  const skipped = await headwater(['sync', 'verify'], home)
  expect(skipped.stdout).toMatch(/^faulty: 40 missing, 100 duplicated; 110 records the same on both sides$/m)

  const place = await headwater(['sync', 'rewind', 'archive', 'events', '--to', '5', '--yes'], home)
  expect(place).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/ - add the partition: headwater sync rewind/),
  })
  const far = await headwater(['sync', 'rewind', 'archive', 'events', '0', '--to', '5000', '--yes'], home)
  expect(far.code).not.toBe(0)
  expect(far.stderr).toMatch(/^headwater: HW_USAGE: offset 5000 is not written yet in events\/0 - it holds /)
  const nobody = await headwater(['sync', 'rewind', 'central', 'events', '--to', 'latest', '--yes'], home)
  expect(nobody.stderr).toMatch(/^headwater: HW_UNKNOWN_UPSTREAM: /)
  await broker.end('SIGTERM')
  const stopped = await headwater(['sync', 'rewind', 'archive', 'events', '--to', 'latest', '--yes'], home)
  expect(stopped).toMatchObject({ code: 3, stderr: expect.stringMatching(/^headwater: HW_NOT_RUNNING: /) })
}, 120_000)
