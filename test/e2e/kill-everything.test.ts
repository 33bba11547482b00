/**
 * The whole line under fire: sensors publish, the broker is killed at 20 random moments, Kafka at two; then every acknowledged
 * message is in Kafka, the local log and Kafka hold the same records, each once, in the same order.
 *
 * QoS 1 is at least once between a sensor and the log: a PUBLISH that was repeated because its PUBACK was lost may stand in
 * the log twice. One that was never repeated stands there once, and so does every QoS 2 message.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type LogRecord, openLog, readRecords } from '../../broker/index.ts'
import { BrokerProcess } from '../support/broker-process.ts'
import {
  describeWithOwnKafka,
  type KafkaServer,
  readTopic,
  startKafka,
  type TopicRecord,
} from '../support/kafka/index.ts'
import { freePort } from '../support/kafka/ports.ts'
import { seededRandom, testSeed } from '../support/random.ts'
import { Sensor, sequenceOf } from './sensors.ts'

const CLIENTS = 20
const MESSAGES = 20_000
const QOS2_CLIENTS = 4
const QOS2_MESSAGES = 400
const PARTITIONS = 4
const BROKER_KILLS = 20
const KAFKA_KILLS = 2
const RUN_MS_MAX = 300_000
const CATCH_UP_MS_MAX = 90_000

describeWithOwnKafka('sensors to Kafka while everything is killed', () => {
  const seed = testSeed()
  const random = seededRandom(seed)
  let directory: string
  let kafka: KafkaServer
  let broker: BrokerProcess
  let port: number

  beforeAll(async () => {
    console.log(`kill-everything: HEADWATER_TEST_SEED=${seed}`)
    directory = await mkdtemp(join(tmpdir(), 'headwater-e2e-'))
    kafka = await startKafka()
    port = await freePort()
    await writeFile(join(directory, 'headwater.yaml'), configuration(kafka.bootstrap, port))
    broker = new BrokerProcess(['--config', join(directory, 'headwater.yaml')])
    await broker.start()
  })

  afterAll(async () => {
    await broker?.end('SIGKILL')
    await kafka?.stop()
    await rm(directory, { recursive: true, force: true })
  })

  it(
    'has every acknowledged message in Kafka, once and in order, as in the local log',
    async () => {
      const { sensors, killed } = await publishUnderFire()
      expect(killed).toEqual({ broker: BROKER_KILLS, kafka: KAFKA_KILLS })
      for (const sensor of sensors) expect(sensor.acknowledged.size).toBe(sensor.plan.messages)

      const inKafka = await kafkaCaughtUp()
      expect(await broker.end('SIGTERM')).toBe(0)
      const inLog = await localRecords(join(directory, 'data'))

      for (let partition = 0; partition < PARTITIONS; partition++) {
        const sent = inKafka.filter((record) => record.partition === partition)
        expect(sent.map(identityOfSent)).toEqual((inLog.get(partition) ?? []).map(identityOfStored))
      }
      for (const sensor of sensors) expectDelivered(sensor, inKafka)
    },
    RUN_MS_MAX,
  )

  /** Runs the sensors; the kills come when so many messages are acknowledged, so that a seed gives the same run. */
  async function publishUnderFire() {
    let acknowledged = 0
    const moments = killMoments()
    const killed = { broker: 0, kafka: 0 }
    let killing = Promise.resolve()
    const onAcknowledged = (): void => {
      acknowledged++
      while (moments.length > 0 && acknowledged >= moments[0]!.at) {
        const { what } = moments.shift()!
        killing = killing.then(async () => {
          if (what === 'broker') {
            await broker.end('SIGKILL')
            await broker.start()
          } else {
            await kafka.kill()
            await kafka.start()
          }
          killed[what]++
        })
      }
    }
    const sensors = sensorPlans().map((plan) => new Sensor(plan, port, onAcknowledged))
    await Promise.all(sensors.map((sensor) => sensor.run()))
    await killing
    await Promise.all(sensors.map((sensor) => sensor.end()))
    return { sensors, killed }
  }

  function killMoments(): { at: number; what: 'broker' | 'kafka' }[] {
    const total = MESSAGES + QOS2_MESSAGES
    const step = total / (BROKER_KILLS + 1)
    const moments = Array.from({ length: BROKER_KILLS }, (_, i) => ({
      at: Math.floor(step * (i + 0.5) + random.next() * step * 0.9),
      what: 'broker' as 'broker' | 'kafka',
    }))
    for (let i = 0; i < KAFKA_KILLS; i++) {
      moments.push({ at: Math.floor(((i + 0.3 + random.next() * 0.4) * total) / KAFKA_KILLS), what: 'kafka' })
    }
    return moments.sort((a, b) => a.at - b.at)
  }

  /** Everything in the topic, once the broker says that nothing is left to send. */
  async function kafkaCaughtUp(): Promise<TopicRecord[]> {
    const deadline = Date.now() + CATCH_UP_MS_MAX
    for (;;) {
      const { upstreams } = (await broker.ask(['sync', 'status', '--json'])) as SyncStatus
      if (upstreams.every(({ state, lagRecords }) => state === 'idle' && lagRecords === 0)) break
      if (Date.now() > deadline) {
        throw new Error(`Kafka did not catch up: ${JSON.stringify(upstreams)}\n${broker.output.slice(-4000)}`)
      }
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
    return readTopic(kafka.bootstrap, 'events', { settled: true })
  }
})

interface SyncStatus {
  readonly upstreams: readonly { readonly state: string; readonly lagRecords: number }[]
}

function configuration(bootstrap: string, port: number): string {
  return `
edge: edge-under-fire
data: ./data
mqtt:
  listeners: [{ address: "127.0.0.1:${port}" }]
log: { segmentBytes: 1048576 }
streams:
  - { name: events, topics: ["#"], key: topic, partitions: ${PARTITIONS} }
upstreams:
  - { name: cloud, kind: kafka, bootstrap: ["${bootstrap}"], createTopics: true }
`
}

function sensorPlans() {
  const qos1 = Array.from({ length: CLIENTS }, (_, i) => ({
    clientId: `sensor-${i}`,
    topic: `line/${i}/state`,
    messages: MESSAGES / CLIENTS,
    qos: 1 as const,
    windowMax: 8,
  }))
  const qos2 = Array.from({ length: QOS2_CLIENTS }, (_, i) => ({
    clientId: `valve-${i}`,
    topic: `valve/${i}/turned`,
    messages: QOS2_MESSAGES / QOS2_CLIENTS,
    qos: 2 as const,
    windowMax: 1,
  }))
  return [...qos1, ...qos2]
}

async function localRecords(data: string): Promise<Map<number, LogRecord[]>> {
  const log = await openLog(data)
  try {
    const records = new Map<number, LogRecord[]>()
    for (const { partition, logStartOffset, durableOffset } of log.partitions()) {
      const own: LogRecord[] = []
      for (let offset = logStartOffset; offset < durableOffset; ) {
        const batches = await log.read('events', partition, offset, 1024 * 1024)
        for (const batch of batches) {
          own.push(...readRecords(batch.bytes))
          offset = batch.nextOffset
        }
      }
      records.set(partition, own)
    }
    return records
  } finally {
    await log.close()
  }
}

function identityOfStored(record: LogRecord): string {
  return `${record.offset} ${record.timestamp} ${record.key} ${record.value}`
}

/** The edge's offset stands in the provenance header. */
function identityOfSent(record: TopicRecord): string {
  const origin = record.headers.find(({ key }) => key === 'hw.origin')?.value?.toString()
  return `${origin?.split('/').at(-1)} ${Number(record.timestamp)} ${record.key} ${record.value}`
}

function expectDelivered(sensor: Sensor, inKafka: readonly TopicRecord[]): void {
  const sequences = inKafka
    .filter(({ key }) => key!.toString() === sensor.plan.topic)
    .map(({ value }) => sequenceOf(value!))
  const first = [...new Set(sequences)]
  expect(first, `${sensor.plan.clientId}: all there, in the order of their first sending`).toEqual(
    Array.from({ length: sensor.plan.messages }, (_, i) => i),
  )
  const copies = sequences.filter((sequence, i) => sequences.indexOf(sequence) !== i)
  const unexplained = copies.filter((sequence) => sensor.plan.qos === 2 || !sensor.repeated.has(sequence))
  expect(unexplained, `${sensor.plan.clientId}: copies without a repeated QoS 1 PUBLISH`).toEqual([])
}
