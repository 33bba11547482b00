/** Replays with clients that exist: mqtt.js with MQTT 3.1.1 and 5 beside writers at full speed, over kills; mosquitto_sub where it is installed. */
import { execFile, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt'
import { afterEach, describe, expect, it } from 'vitest'
import { BrokerProcess } from '../../../support/broker-process.ts'
import { freePort } from '../../../support/kafka/ports.ts'
import { type Random, seededRandom, testSeed } from '../../../support/random.ts'
import { until } from '../../log/support.ts'
import { recordsIn, startBroker } from '../support.ts'

const clients: MqttClient[] = []
const processes: BrokerProcess[] = []
const directories: string[] = []
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.endAsync(true)))
  await Promise.all(processes.splice(0).map((broker) => broker.end('SIGKILL')))
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true })
})

async function connect(port: number, options: IClientOptions = {}): Promise<MqttClient> {
  const client = await mqtt.connectAsync({ host: '127.0.0.1', port, reconnectPeriod: 0, ...options })
  client.on('error', () => {})
  clients.push(client)
  return client
}

const TOPICS = 7

/** Publishes values 0, 1, ... in turns to `t/0` to `t/6`, many at once. */
async function write(port: number, writer: string, count: number): Promise<void> {
  const client = await connect(port, { clientId: writer })
  const sent = Array.from({ length: count }, (_, n) =>
    client.publishAsync(`t/${n % TOPICS}`, `${writer} ${n}`, { qos: 1 }),
  )
  await Promise.all(sent)
}

/** What a subscriber took: `topic=payload` in its order. */
function taken(client: MqttClient): { messages: string[]; places: string[] } {
  const messages: string[] = []
  const places: string[] = []
  client.on('message', (topic, payload, { properties }) => {
    messages.push(`${topic}=${payload.toString()}`)
    const user = properties?.userProperties
    if (user !== undefined) places.push(`${user['hw.partition']} ${user['hw.offset']}`)
  })
  return { messages, places }
}

/** Of each topic, hence of each key, as it stands in the log. */
const byTopic = (messages: readonly string[]) =>
  Array.from({ length: TOPICS }, (_, n) => messages.filter((message) => message.startsWith(`t/${n}=`)))

/** Each partition from its first offset to its last, each once. */
function expectEachOnce(places: readonly string[]): void {
  const next = new Map<string, number>()
  for (const place of places) {
    const [partition, offset] = place.split(' ') as [string, string]
    expect(Number(offset), `partition ${partition}`).toBe(next.get(partition) ?? 0)
    next.set(partition, Number(offset) + 1)
  }
}

describe('beside writers at full speed', () => {
  it('history and present follow one another without gap or duplicate, whenever one begins', async () => {
    const seed = testSeed()
    const random: Random = seededRandom(seed)
    const { broker, port } = await startBroker()
    const writers = ['w1', 'w2', 'w3']
    const COUNT = 1500
    const total = writers.length * COUNT
    const stored = () =>
      broker.log
        .streams()
        .flatMap(({ records }) => records)
        .reduce((a, b) => a + b, 0)
    const writing = Promise.all(writers.map((writer) => write(port, writer, COUNT)))
    const readers: ReturnType<typeof taken>[] = []
    for (let n = 0; n < 8; n++) {
      const begin = Math.floor((total * (n + random.next())) / 9)
      await until(() => stored() >= begin, `${begin} records are stored`, 30_000)
      const client = await connect(port, {
        protocolVersion: n % 2 === 0 ? 5 : 4,
        properties: n % 2 === 0 ? { receiveMaximum: random.between(1, 100) } : {},
      } as IClientOptions)
      readers.push(taken(client))
      await client.subscribeAsync('$replay/events/earliest', { qos: n % 4 < 2 ? 1 : 0 })
    }
    await writing
    await until(() => readers.every(({ messages }) => messages.length >= total), 'all have come', 60_000)
    const log = byTopic((await recordsIn(broker)).map(({ topic, value }) => `${topic}=${value}`))
    for (const [n, { messages, places }] of readers.entries()) {
      expect(messages, `seed ${seed}, reader ${n}`).toHaveLength(total)
      expect(byTopic(messages), `seed ${seed}, reader ${n}`).toEqual(log)
      expect(places).toHaveLength(n % 2 === 0 ? total : 0)
      expectEachOnce(places)
    }
  }, 120_000)
})

describe('a broker that is killed', () => {
  it('goes on with the replay of a session that stays: no offset is missing', async () => {
    const seed = testSeed()
    const random = seededRandom(seed)
    const directory = mkdtempSync(join(tmpdir(), 'headwater-replay-'))
    directories.push(directory)
    const port = await freePort()
    const config = join(directory, 'headwater.yaml')
    writeFileSync(
      config,
      `edge: edge-1\ndata: ${directory}/data\nmqtt:\n  listeners: [{ address: "127.0.0.1:${port}" }]\nupstreams: []\n`,
    )
    const broker = new BrokerProcess(['--config', config])
    processes.push(broker)
    await broker.start()
    const COUNT = 2000
    await write(port, 'w', COUNT)
    const places: string[] = []
    const perLife: number[] = []
    for (let life = 0; life < 4; life++) {
      const client = await connect(port, {
        clientId: 'reader',
        clean: false,
        protocolVersion: 5,
        properties: { sessionExpiryInterval: 10_000, receiveMaximum: 20 },
      })
      const seen = taken(client)
      await client.subscribeAsync('$replay/events/earliest', { qos: 1 })
      const wanted = life < 3 ? random.between(1, 500) : 0
      if (life < 3) {
        await until(() => seen.places.length >= wanted, `${wanted} have come`, 30_000)
        await broker.end('SIGKILL')
        client.end(true)
        await broker.start()
      } else {
        await until(() => new Set([...places, ...seen.places]).size >= COUNT, 'the rest has come', 30_000)
      }
      places.push(...seen.places)
      perLife.push(seen.places.length)
    }
    expect(new Set(places).size, `seed ${seed}, by life ${perLife}`).toBe(COUNT)
    // in one life each comes once, in order
    let at = 0
    for (const count of perLife) {
      const own = places.slice(at, at + count)
      at += count
      expect(new Set(own).size).toBe(own.length)
      for (const partition of ['0', '1', '2', '3']) {
        const offsets = own
          .filter((place) => place.startsWith(`${partition} `))
          .map((place) => Number(place.slice(2)))
        expect(offsets).toEqual(offsets.toSorted((a, b) => a - b))
      }
    }
  }, 180_000)
})

describe.skipIf(spawnSync('mosquitto_sub', ['--help']).error !== undefined)('mosquitto_sub', () => {
  it.each(['mqttv311', 'mqttv5'])('with %s reads the history of a stream', async (version) => {
    const { port } = await startBroker()
    await write(port, 'w', 30)
    const { stdout } = await promisify(execFile)('mosquitto_sub', [
      ...['-h', '127.0.0.1', '-p', String(port), '-V', version, '-q', '1', '-C', '30'],
      ...['-t', '$replay/events/earliest', '-F', '%t %p'],
    ])
    const lines = stdout.trim().split('\n')
    expect(lines.toSorted()).toEqual(
      Array.from({ length: 30 }, (_, n) => `t/${n % TOPICS} w ${n}`).toSorted(),
    )
    expect(lines.filter((line) => line.startsWith('t/3 ')).map((line) => Number(line.split(' ')[2]))).toEqual(
      [3, 10, 17, 24],
    )
  })

  it('that is refused is told', async () => {
    const { port, sink } = await startBroker()
    const refused = promisify(execFile)('mosquitto_sub', [
      ...[
        '-h',
        '127.0.0.1',
        '-p',
        String(port),
        '-V',
        'mqttv5',
        '-t',
        '$replay/nothing/earliest',
        '-W',
        '20',
      ],
    ])
    expect(await refused).toMatchObject({ stdout: '', stderr: expect.stringContaining('denied') })
    expect(sink.matching('refused a replay')).toHaveLength(1)
  })
})
