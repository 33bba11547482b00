/**
 * Downlinks as an operator runs them: `headwater start` with its configuration, killed while commands come, and two edges that both
 * write and read one topic.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connectAsync } from 'mqtt'
import { afterEach, expect, it } from 'vitest'
import { openLog, readRecords } from '../../broker/index.ts'
import type { DownlinkStatus } from '../../sync/index.ts'
import { until } from '../broker/log/support.ts'
import { BrokerProcess } from '../support/broker-process.ts'
import { createTopic, describeWithKafka, readTopic, uniqueName } from '../support/kafka/index.ts'
import { freePort } from '../support/kafka/ports.ts'
import { seededRandom, testSeed } from '../support/random.ts'
import { CommandTopic, Receiver } from '../sync/downlink/kafka-topic.ts'

const COMMANDS = 1000
const KEYS = 10
const KILLS = 6
const LIMIT_MS = 60_000

const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

interface Edge {
  readonly broker: BrokerProcess
  readonly port: number
  readonly data: string
}

async function startEdge(configuration: (port: number) => string): Promise<Edge> {
  const directory = await mkdtemp(join(tmpdir(), 'headwater-downlink-'))
  closers.push(() => rm(directory, { recursive: true, force: true }))
  const port = await freePort()
  await writeFile(join(directory, 'headwater.yaml'), configuration(port))
  const broker = new BrokerProcess(['--config', join(directory, 'headwater.yaml')])
  closers.push(() => broker.end('SIGKILL'))
  await broker.start()
  return { broker, port, data: join(directory, 'data') }
}

interface SyncAnswer {
  readonly downlinks: DownlinkStatus[]
}

async function downlinkOf(edge: Edge): Promise<DownlinkStatus> {
  const { downlinks } = (await edge.broker.ask(['sync', 'status', '--json'])) as SyncAnswer
  return downlinks[0]!
}

/** Asks until it is so. */
async function untilDownlink(edge: Edge, isSo: (status: DownlinkStatus) => boolean): Promise<DownlinkStatus> {
  const deadline = Date.now() + LIMIT_MS
  for (;;) {
    const status = await downlinkOf(edge)
    if (isSo(status)) return status
    if (Date.now() > deadline)
      throw new Error(`not in time: ${JSON.stringify(status)}\n${edge.broker.output}`)
  }
}

/** Of a stopped broker, as `key value`, in the order of each partition. */
async function recorded(edge: Edge, stream: string): Promise<string[]> {
  const log = await openLog(edge.data)
  try {
    const records: string[] = []
    for (const state of log.partitions().filter((partition) => partition.stream === stream)) {
      for (let offset = state.logStartOffset; offset < state.durableOffset; ) {
        for (const { bytes, nextOffset } of await log.read(stream, state.partition, offset, 1e9)) {
          for (const { key, value } of readRecords(bytes)) records.push(`${key} ${value}`)
          offset = nextOffset
        }
      }
    }
    return records
  } finally {
    await log.close()
  }
}

describeWithKafka('a downlink of a broker that is killed', ({ bootstrap }) => {
  it('loses no command, keeps their order, and records each once', async () => {
    const seed = testSeed()
    console.log(`downlink: HEADWATER_TEST_SEED=${seed}`)
    const random = seededRandom(seed)
    const name = uniqueName('commands')
    await createTopic(bootstrap, name, 3)
    const topic = await CommandTopic.open(bootstrap, name)
    closers.push(() => topic.close())
    const edge = await startEdge(
      (port) => `
edge: pi-7
data: ./data
mqtt: { listeners: [{ address: "127.0.0.1:${port}" }] }
streams:
  - { name: events, topics: ["#"], key: topic, partitions: 2 }
upstreams: []
downlinks:
  - { name: commands, connection: { bootstrap: ["${bootstrap}"] }, topic: ${name}, start: earliest }
`,
    )
    const receiver = await Receiver.connect(edge.port, 'commands/#')
    closers.push(() => receiver.close())

    // Killed when so many have come: the moments are spread over the run.
    const step = COMMANDS / (KILLS + 1)
    for (let sent = 0, kill = 1; sent < COMMANDS; sent += 50) {
      const commands = Array.from({ length: 50 }, (_, i) => ({
        key: `unit/${(sent + i) % KEYS}`,
        value: String(sent + i),
      }))
      await topic.send(commands)
      if (kill > KILLS || sent < kill * step) continue
      const enough = receiver.received.length + 1 + Math.floor(random.next() * 40)
      await until(() => receiver.received.length >= enough, 'some have come', LIMIT_MS)
      // the last but one is an ordinary stop
      if (kill === KILLS - 1) expect(await edge.broker.end('SIGTERM')).toBe(0)
      else await edge.broker.end('SIGKILL')
      await edge.broker.start()
      kill++
    }
    const all = Array.from({ length: COMMANDS }, (_, i) => i)
    const hasAll = () => new Set(receiver.received.map(({ payload }) => payload)).size === COMMANDS
    await until(hasAll, 'the subscriber has all', LIMIT_MS)
    await untilDownlink(edge, ({ state, lagRecords }) => state === 'idle' && lagRecords === 0)
    expect(await edge.broker.end('SIGTERM')).toBe(0)

    const records = await recorded(edge, 'events')
    for (let key = 0; key < KEYS; key++) {
      const values = all.filter((i) => i % KEYS === key).map(String)
      expect(receiver.byTopic().get(`commands/unit/${key}`), `seed ${seed}`).toEqual(values)
      const own = `commands/unit/${key} `
      const inLog = records.filter((line) => line.startsWith(own)).map((line) => line.slice(own.length))
      expect(inLog, `seed ${seed}`).toEqual(values)
    }
    expect(records).toHaveLength(COMMANDS)
  }, 120_000)
})

describeWithKafka('edges that write and read one topic', ({ bootstrap }) => {
  const MESSAGES = 30
  const configuration = (edge: string, topic: string) => (port: number) =>
    `
edge: ${edge}
data: ./data
mqtt: { listeners: [{ address: "127.0.0.1:${port}" }] }
streams:
  - { name: shared, topics: ["shared/#"], key: topic, partitions: 2 }
upstreams:
  - { name: central, kind: kafka, bootstrap: ["${bootstrap}"], topic: "${topic}", round: { lingerMs: 5 } }
downlinks:
  - { name: back, upstream: central, topic: "${topic}", mqttTopic: "{key}", start: earliest, graceSeconds: 0 }
`

  async function publish(edge: Edge, from: number, count: number): Promise<string[]> {
    const client = await connectAsync(`mqtt://127.0.0.1:${edge.port}`)
    const lines: string[] = []
    for (let i = from; i < from + count; i++) {
      await client.publishAsync(`shared/${i % 3}`, `${edge.port}-${i}`, { qos: 1 })
      lines.push(`shared/${i % 3} ${edge.port}-${i}`)
    }
    await client.endAsync()
    return lines
  }

  const idle = ({ state, lagRecords }: DownlinkStatus) => state === 'idle' && lagRecords === 0

  it('have nothing going in a circle where there is one of them', async () => {
    const topic = uniqueName('loop')
    await createTopic(bootstrap, topic, 2)
    const edge = await startEdge(configuration('pi-7', topic))
    const published = await publish(edge, 0, MESSAGES)
    const status = await untilDownlink(edge, (now) => now.passedOver.own === MESSAGES && idle(now))
    expect(status).toMatchObject({ delivered: 0, passedOver: { own: MESSAGES, hops: 0 } })
    expect(await edge.broker.end('SIGTERM')).toBe(0)
    expect((await recorded(edge, 'shared')).toSorted()).toEqual(published.toSorted())
    expect(await readTopic(bootstrap, topic)).toHaveLength(MESSAGES)
  }, 60_000)

  it('have each message once, and nothing going in a circle, where there are two', async () => {
    const topic = uniqueName('loop')
    await createTopic(bootstrap, topic, 2)
    const [one, two] = await Promise.all([
      startEdge(configuration('pi-7', topic)),
      startEdge(configuration('pi-8', topic)),
    ])
    const published = [...(await publish(one, 0, MESSAGES)), ...(await publish(two, 100, MESSAGES))]
    // Each message goes up twice: from where it was published, and from where it came down. Each edge is in the origins of all but
    // the other one's own.
    for (const edge of [one, two]) {
      const status = await untilDownlink(edge, (now) => now.passedOver.own === 3 * MESSAGES && idle(now))
      expect(status).toMatchObject({ delivered: MESSAGES, passedOver: { own: 3 * MESSAGES, hops: 0 } })
    }
    for (const edge of [one, two]) {
      expect(await edge.broker.end('SIGTERM')).toBe(0)
      expect((await recorded(edge, 'shared')).toSorted()).toEqual(published.toSorted())
    }
    const upstream = await readTopic(bootstrap, topic)
    expect(upstream).toHaveLength(4 * MESSAGES)
    const origins = upstream.map(({ headers }) =>
      headers.filter(({ key }) => key === 'hw.origin').map(({ value }) => String(value).split('/')[0]),
    )
    for (const [first, second] of [
      ['pi-7', 'pi-8'],
      ['pi-8', 'pi-7'],
    ]) {
      expect(origins.filter((names) => names.join() === first)).toHaveLength(MESSAGES)
      expect(origins.filter((names) => names.join() === `${first},${second}`)).toHaveLength(MESSAGES)
    }
  }, 90_000)
})
