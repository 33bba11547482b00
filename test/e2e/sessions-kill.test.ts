/**
 * Sessions under fire: publishers of QoS 1 and 2, sessions that stay of QoS 1 and 2, one of them away for a while; the broker is killed at
 * random moments, and ended with SIGTERM at some. Once all is quiet, each session has every acknowledged message: of QoS 2 once, and in the order of
 * its topic.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import mqtt, { type MqttClient } from 'mqtt'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { BrokerProcess } from '../support/broker-process.ts'
import { freePort } from '../support/kafka/ports.ts'
import { seededRandom, testSeed } from '../support/random.ts'
import { RawPublisher, RawSubscriber } from './raw-clients.ts'

const KILLS = 10
const TERMS = 2
const MESSAGES = 500
/** A session's queue takes 1,000 messages, with those that QoS 1 repeats: publishers wait for the slowest that is there. */
const BEHIND_MAX = 150
/** Acknowledgements between which the one session is away. */
const AWAY = { from: 800, to: 1_100 }
const RUN_MS_MAX = 300_000
const QUIET_MS_MAX = 60_000

const PUBLISHERS = ([1, 2] as const).flatMap((qos) =>
  ([4, 5] as const).map((version) => ({
    clientId: `publisher-${qos}-${version}`,
    topic: `${qos}/${version}`,
    qos,
    version,
  })),
)
const SUBSCRIBERS = ([1, 2] as const).flatMap((qos) =>
  ([4, 5] as const).map((version) => ({ clientId: `subscriber-${qos}-${version}`, qos, version })),
)

describe('sessions while the broker is killed', () => {
  const seed = testSeed()
  const random = seededRandom(seed)
  let directory: string
  let broker: BrokerProcess
  let port: number

  beforeAll(async () => {
    console.log(`sessions-kill: HEADWATER_TEST_SEED=${seed}`)
    directory = await mkdtemp(join(tmpdir(), 'headwater-sessions-'))
    port = await freePort()
    await writeFile(
      join(directory, 'headwater.yaml'),
      `
edge: sessions-under-fire
data: ./data
mqtt:
  listeners: [{ address: "127.0.0.1:${port}" }]
streams:
  - { name: events, topics: ["#"], key: topic, partitions: 2 }
`,
    )
    broker = new BrokerProcess(['--config', join(directory, 'headwater.yaml')])
    await broker.start()
  })

  afterAll(async () => {
    await broker?.end('SIGKILL')
    await rm(directory, { recursive: true, force: true })
  })

  it(
    'has every acknowledged message in each session, of QoS 2 once, in order',
    async () => {
      const subscribers = SUBSCRIBERS.map(
        (plan) =>
          new RawSubscriber({ ...plan, port, filter: '+/+', answerDelay: () => random.between(0, 30) }),
      )
      const ordinary = ([1, 2] as const).map((qos) => new LibrarySubscriber(qos, port))
      for (const subscriber of subscribers) subscriber.begin()
      await until(() => subscribers.every(({ isSubscribed }) => isSubscribed))
      await Promise.all(ordinary.map((one) => one.subscribed))

      const publishers = await publishUnderFire(subscribers)
      const quiet = () =>
        subscribers.every((one) => isComplete(one.received, publishers)) &&
        ordinary.every((one) => isComplete(one.received, publishers))
      await until(quiet, QUIET_MS_MAX)
      // what would come twice has time to come
      await delay(500)
      for (const subscriber of subscribers) subscriber.end()
      for (const one of ordinary) await one.end()
      for (const publisher of publishers) publisher.end()
      const faults = subscribers.flatMap((one) =>
        faultsOf(one.plan.clientId, one.plan.qos, one.received, publishers),
      )
      // mqtt.js hands a QoS 2 message on at PUBREL, behind later ones of QoS 1
      faults.push(...ordinary.flatMap((one) => missingOf(one.name, one.received, publishers)))
      expect(faults).toEqual([])
      expect(broker.output).not.toMatch(/dropped a connection|could not be handed/)
      expect(subscribers.map(({ lostSessions }) => lostSessions)).toEqual(subscribers.map(() => 0))
    },
    RUN_MS_MAX,
  )

  async function publishUnderFire(subscribers: readonly RawSubscriber[]): Promise<RawPublisher[]> {
    const [away] = subscribers as [RawSubscriber, ...RawSubscriber[]]
    const total = PUBLISHERS.length * MESSAGES
    const moments = Array.from({ length: KILLS + TERMS }, (_, i) => ({
      at: random.between(1, total - 1),
      signal: i < KILLS ? ('SIGKILL' as const) : ('SIGTERM' as const),
    })).sort((one, other) => one.at - other.at)
    let acknowledged = 0
    let killed = 0
    let killing = Promise.resolve()
    let isAway = false
    const slowest = () =>
      Math.min(...subscribers.filter((one) => one !== away || !isAway).map(({ distinct }) => distinct))
    const onAcknowledged = (): void => {
      acknowledged++
      if (acknowledged === AWAY.from) away.end()
      if (acknowledged === AWAY.to) away.begin()
      isAway = acknowledged >= AWAY.from && acknowledged < AWAY.to
      while (moments.length > 0 && acknowledged >= moments[0]!.at) {
        const { signal } = moments.shift()!
        const afterMs = random.between(0, 40)
        killing = killing.then(async () => {
          await delay(afterMs)
          await broker.end(signal)
          await broker.start()
          killed++
        })
      }
    }
    const mayGoOn = () => acknowledged - slowest() < BEHIND_MAX
    const publishers = PUBLISHERS.map(
      (plan) =>
        new RawPublisher({ ...plan, port, messages: MESSAGES, windowMax: 10, mayGoOn, onAcknowledged }),
    )
    for (const publisher of publishers) publisher.begin()
    const again = setInterval(() => {
      for (const publisher of publishers) publisher.goOn()
    }, 10)
    try {
      await until(() => publishers.every(({ isDone }) => isDone), RUN_MS_MAX)
      await killing
    } finally {
      clearInterval(again)
    }
    expect(killed).toBe(KILLS + TERMS)
    return publishers
  }
})

type Received = ReadonlyMap<string, readonly number[]>

/** mqtt.js as many use it. */
class LibrarySubscriber {
  readonly name: string
  readonly received = new Map<string, number[]>()
  readonly subscribed: Promise<unknown>
  readonly #client: MqttClient

  constructor(qos: 1 | 2, port: number) {
    this.name = `library-${qos}`
    const url = `mqtt://127.0.0.1:${port}`
    this.#client = mqtt.connect(url, {
      clientId: this.name,
      clean: false,
      reconnectPeriod: 20,
      resubscribe: false,
    })
    this.#client.on('error', () => {})
    this.#client.on('message', (topic, payload) => {
      const numbers = this.received.get(topic) ?? []
      this.received.set(topic, numbers)
      numbers.push(Number(payload.toString()))
    })
    this.subscribed = this.#client.subscribeAsync('+/+', { qos })
  }

  async end(): Promise<void> {
    await this.#client.endAsync(true)
  }
}

function isComplete(received: Received, publishers: readonly RawPublisher[]): boolean {
  return publishers.every(({ plan }) => new Set(received.get(plan.topic)).size === plan.messages)
}

function missingOf(name: string, received: Received, publishers: readonly RawPublisher[]): string[] {
  return publishers.flatMap(({ plan, acknowledged }) => {
    const numbers = new Set(received.get(plan.topic))
    const missing = [...acknowledged].filter((n) => !numbers.has(n))
    return missing.length === 0 ? [] : [`${name} of ${plan.topic}: ${missing} missing`]
  })
}

function faultsOf(
  name: string,
  qos: 1 | 2,
  received: Received,
  publishers: readonly RawPublisher[],
): string[] {
  const faults = missingOf(name, received, publishers)
  for (const { plan } of publishers) {
    const numbers = received.get(plan.topic) ?? []
    const first = [...new Set(numbers)]
    const what = `${name} of ${plan.topic}:`
    const twice = numbers.filter((n, i) => numbers.indexOf(n) !== i)
    if (qos === 2 && plan.qos === 2 && twice.length > 0) faults.push(`${what} ${twice} twice`)
    const late = first.filter((n, i) => i > 0 && n < first[i - 1]!)
    if (late.length > 0) faults.push(`${what} ${late} out of order`)
  }
  return faults
}

/** @returns false where it has not come to be */
async function until(isSo: () => boolean, ms = 30_000): Promise<boolean> {
  for (const end = performance.now() + ms; performance.now() < end; await delay(20)) if (isSo()) return true
  return false
}
