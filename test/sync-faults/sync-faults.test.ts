import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterEach, describe, expect, it } from 'vitest'
import { describeWithOwnKafka } from '../support/kafka/index.ts'
import { freePort } from '../support/kafka/ports.ts'
import type { TopicRecord } from '../support/kafka/read-topic.ts'
import { seededRandom, testSeed } from '../support/random.ts'
import { audit } from './audit.ts'
import { Edge } from './edge.ts'
import { Link } from './link.ts'
import { planCycle } from './plan.ts'
import { idOf } from './publisher.ts'

const MAIN = fileURLToPath(new URL('../../dist/test/sync-faults/main.js', import.meta.url))
const CYCLES = 12

describe('the audit', () => {
  const record = (at: number, id = `device-0/${at}`, edge = 'edge'): TopicRecord => ({
    partition: 0,
    offset: BigInt(at),
    timestamp: 0n,
    key: null,
    value: Buffer.from(`{"id":"${id}","celsius":2${Number(id.split('/')[1]) % 10}.5,"unit":"C"}`),
    headers: [{ key: 'hw.origin', value: Buffer.from(`${edge}/incarnation/events/0/${at}`) }],
  })
  const expected = {
    edge: 'edge',
    stream: 'events',
    durable: [3],
    acknowledged: ['device-0/0', 'device-0/1', 'device-0/2'],
  }
  const problems = (records: TopicRecord[]) =>
    audit(records, expected).problems.map((text) => text.slice(0, 60))

  it('finds nothing where each record is there once, in order', () => {
    expect(audit([record(0), record(1), record(2)], expected)).toEqual({ records: 3, problems: [] })
  })

  it('finds a record that is missing, at the end too, one that is there twice, and one that is out of order', () => {
    expect(problems([record(0), record(2)])).toEqual([
      expect.stringContaining('offsets 1 to 1 of partition 0 are missing'),
      '1 acknowledged messages are not upstream: device-0/1',
    ])
    expect(problems([record(0), record(1)])).toContain('partition 0 ends at 2 upstream, at 3 on the edge')
    expect(problems([record(0), record(1), record(1), record(2)])).toEqual([
      expect.stringContaining('offset 1 is there twice'),
    ])
    expect(problems([record(1), record(0), record(2)])).toHaveLength(2)
  })

  it('finds a record that is not as it was published, and one of another edge', () => {
    expect(problems([record(0), record(1, 'device-0/x'), record(2)])).toHaveLength(2)
    expect(problems([record(0), record(1, 'device-0/1', 'other'), record(2)])).toContainEqual(
      expect.stringContaining('comes from other/'),
    )
    expect(idOf('{"id":"device-0/7","celsius":27.5,"unit":"C"}')).toBe('device-0/7')
    expect(idOf('{"id":"device-0/7","celsius":26.5,"unit":"C"}')).toBeNull()
  })
})

describe('the link', () => {
  const ends: (() => unknown)[] = []
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end()
  })

  /** A link to a server that keeps what it gets. */
  async function setup(): Promise<{ link: Link; edge: Socket; got: () => string; isClosed: () => boolean }> {
    let text = ''
    const server = createServer((socket) => {
      socket.on('data', (chunk) => {
        text += chunk
        socket.write(chunk)
      })
      socket.on('error', () => {})
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    ends.push(() => server.close())
    const link = await Link.open((server.address() as AddressInfo).port, await freePort())
    ends.push(() => link.close())
    const edge = connect({ host: '127.0.0.1', port: link.port })
    let closed = false
    edge.on('error', () => {})
    edge.on('close', () => {
      closed = true
    })
    edge.resume()
    await once(edge, 'connect')
    return { link, edge, got: () => text, isClosed: () => closed }
  }

  const until = async (condition: () => boolean) => {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2))
  }

  it('resets its connections just behind the byte that it was told', async () => {
    const { link, edge, got, isClosed } = await setup()
    edge.write('0123456789')
    await until(() => got().length === 10)
    link.resetAfter('up', 4)
    edge.write('abcdefgh')
    await until(isClosed)
    await until(() => link.resets === 1)
    expect('0123456789abcd'.startsWith(got())).toBe(true)
  })

  it('turns over one bit behind the mark, once', async () => {
    const { link, edge, got } = await setup()
    const flipped = link.flipBehind('x=')
    edge.write('y=1 x=2 x=2')
    await flipped
    await until(() => got().length === 11)
    edge.write(' x=2')
    await until(() => got().length === 15)
    expect(got()).toBe('y=1 x=3 x=2 x=2')
  })

  it('holds bytes back while it is stalled, and refuses connections while it is down', async () => {
    const { link, edge, got } = await setup()
    link.weather.isStalled = true
    edge.write('held')
    await new Promise((resolve) => setTimeout(resolve, 30))
    expect(got()).toBe('')
    link.heal()
    await until(() => got() === 'held')
    link.weather.isDown = true
    const refused = connect({ host: '127.0.0.1', port: link.port })
    refused.on('error', () => {})
    await new Promise((resolve) => refused.once('close', resolve))
    expect(link.connections).toBe(2)
  })
})

it('an edge that was killed answers for its upstream as soon as it is up again', async () => {
  const bootstrap = `127.0.0.1:${await freePort()}`
  const edge = await Edge.start({ name: 'edge', topic: 'none', bootstrap })
  try {
    for (let kills = 0; kills < 5; kills++) {
      await edge.kill()
      expect((await edge.status()).upstreams).toMatchObject([{ name: 'central', lagRecords: 0 }])
    }
  } finally {
    await edge.end()
  }
}, 120_000)

it('a seed gives the same plan of faults, and all kinds come', () => {
  const plans = () => {
    const random = seededRandom(7)
    return Array.from({ length: 200 }, () => planCycle(random))
  }
  expect(plans()).toEqual(plans())
  const kinds = new Set(plans().flatMap(({ faults }) => faults.map(({ kind }) => kind)))
  expect(kinds.size).toBe(9)
})

describeWithOwnKafka('a run that is broken off', () => {
  it('leaves no edge, and says nothing of what it was in the middle of', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'headwater-broken-off-'))
    try {
      const env = { ...process.env, TMPDIR: directory }
      const child = spawn(process.execPath, [MAIN, '--cycles', '1000'], { env })
      let [stdout, stderr] = ['', '']
      child.stderr.on('data', (text) => {
        stderr += text
      })
      child.stdout.on('data', (text) => {
        if (stdout.split('\n').length <= 3 && `${stdout}${text}`.split('\n').length > 3) child.kill('SIGTERM')
        stdout += text
      })
      const [code] = (await once(child, 'close')) as [number | null]
      expect({ code, stderr }).toEqual({ code: 130, stderr: 'broken off; cleaning up\n' })
      expect(stdout).not.toContain('exact')
      const left = (await readdir(directory)).filter((name) => name.includes('sync-faults'))
      expect(left).toEqual([])
    } finally {
      await rm(directory, { recursive: true, force: true })
    }
  }, 60_000)
})

describeWithOwnKafka('an edge behind a link that lies', () => {
  it(`has each record upstream once and in order after ${CYCLES} cycles of faults`, async () => {
    const seed = testSeed()
    const args = [MAIN, '--cycles', `${CYCLES}`, '--seed', `${seed}`, '--json']
    const { stdout } = await promisify(execFile)(process.execPath, args).catch((error) => {
      throw new Error(`HEADWATER_TEST_SEED=${seed}: ${error.stdout}\n${error.stderr}`)
    })
    const summary = JSON.parse(stdout.trim().split('\n').at(-1)!)
    expect(summary).toMatchObject({ cycles: CYCLES, problems: [] })
    expect(summary.records).toBeGreaterThan(0)
    expect(summary.connections).toBeGreaterThan(1)
  }, 240_000)
})
