/**
 * Publishers and subscribers of a fan-out. It is a closed loop: what a publisher may send depends on what the slowest subscriber has got, so
 * that no server is measured by what it drops or piles up, and every message is delivered to each.
 */
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { onJob } from '../children.ts'
import { memory } from '../process-usage.ts'
import type { FanOutJob, FanOutResult } from './fan-out.ts'
import { ringEntries } from './load.ts'
import { clientIdOf, topicOf } from './manner.ts'
import { deliveryBytes, type EntryShape, PublishRing, pubackPacket } from './packets.ts'
import { subscribed } from './plain-client.ts'
import { Publisher, Tally } from './publisher.ts'
import { snapshot } from './snapshot.ts'

const PUBLISH_MASK = 0xf6
const DRAIN_MS_MAX = 30_000
const POLL_MS = 5

onJob(async (job: FanOutJob): Promise<FanOutResult> => {
  const { warmSeconds, seconds, serverPid } = job
  const fail = { with: (_error: Error) => {} }
  const failed = new Promise<never>((_, reject) => {
    fail.with = reject
  })
  const subscribers = await subscribersOf(job, (error) => fail.with(error))
  const publishers = await publishersOf(job, (error) => fail.with(error))
  const received = () => subscribers.reduce((sum, subscriber) => sum + subscriber.received, 0)
  const loop = new Loop(job, publishers, subscribers)
  loop.turn()
  await Promise.race([sleep(warmSeconds * 1000), failed])
  const [before, receivedBefore] = [snapshot(serverPid), received()]
  await Promise.race([sleep(seconds * 1000), failed])
  const [after, deliveries] = [snapshot(serverPid), received() - receivedBefore]
  loop.stop()
  await Promise.race([loop.drained(), failed])
  const { rssBytes, rssPeakBytes } = memory(serverPid)
  for (const { socket } of subscribers) socket.removeAllListeners('close').destroy()
  await Promise.all(publishers.map((publisher) => publisher.close()))
  const elapsed = after.at - before.at
  const serverCpu = after.server - before.server
  return {
    deliveriesPerSecond: deliveries / elapsed,
    messagesInAll: loop.sent,
    serverCpuUs: (serverCpu * 1e6) / deliveries,
    serverCpuShare: serverCpu / elapsed,
    generatorCpuShare: (after.own - before.own) / elapsed,
    rssBytes,
    rssPeakBytes,
  }
})

async function publishersOf(job: FanOutJob, onFailure: (error: Error) => void): Promise<Publisher[]> {
  const { port, manner, payloadBytes } = job
  const entry: EntryShape = job.qos === 0 ? { qos0: 1, qos1: 0 } : { qos0: 0, qos1: 1 }
  const tally = new Tally()
  const publishers: Publisher[] = []
  for (let i = 0; i < job.publishers; i++) {
    const count = ringEntries(entry)
    const ring = new PublishRing({ topic: topicOf(i), payloadBytes, manner, entry, count, row: i })
    const publisher = await Publisher.connect(port, manner, clientIdOf(i), ring, tally)
    publisher.onFailure = onFailure
    publishers.push(publisher)
  }
  return publishers
}

interface Subscriber {
  socket: Socket
  received: number
  onReceived: () => void
}

async function subscribersOf(job: FanOutJob, onFailure: (error: Error) => void): Promise<Subscriber[]> {
  const { port, manner, qos, payloadBytes } = job
  const each = deliveryBytes(topicOf(0), payloadBytes, manner, qos)
  const first = 0x30 | (qos << 1)
  const idAt = each - payloadBytes - (manner === 'guarded' ? 1 : 0) - 2
  const subscribers: Subscriber[] = []
  for (let i = 0; i < job.subscribers; i++) {
    const subscriber: Subscriber = { socket: null as never, received: 0, onReceived: () => {} }
    let rest: Buffer = Buffer.alloc(0)
    const take = (chunk: Buffer, socket: Socket) => {
      const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
      const count = Math.floor(bytes.length / each)
      const answers = Buffer.alloc(qos === 1 ? count * PUBACK.length : 0)
      for (let n = 0; n < count; n++) {
        const at = n * each
        if ((bytes[at]! & PUBLISH_MASK) !== first) throw new Error(`a packet of type ${bytes[at]! >> 4} came`)
        if (qos === 0) continue
        PUBACK.copy(answers, n * PUBACK.length)
        bytes.copy(answers, n * PUBACK.length + 2, at + idAt, at + idAt + 2)
      }
      // a view of the read buffer would be written over
      rest = Buffer.from(bytes.subarray(count * each))
      if (answers.length > 0) socket.write(answers)
      subscriber.received += count
      subscriber.onReceived()
    }
    const options = { port, manner, clientId: `sub-${i}`, filter: '#', qos, keepAlive: 0 } as const
    subscriber.socket = await subscribed(options, take)
    subscriber.socket.on('error', onFailure)
    subscriber.socket.on('close', () => onFailure(new Error('the server closed a subscriber')))
    subscribers.push(subscriber)
  }
  return subscribers
}

const PUBACK = pubackPacket(0)

class Loop {
  readonly #publishers: readonly Publisher[]
  readonly #subscribers: readonly Subscriber[]
  readonly #inFlightMax: number
  #isScheduled = false
  #isRunning = true
  sent = 0

  constructor(job: FanOutJob, publishers: readonly Publisher[], subscribers: readonly Subscriber[]) {
    this.#publishers = publishers
    this.#subscribers = subscribers
    this.#inFlightMax = job.window * publishers.length
    for (const subscriber of subscribers) subscriber.onReceived = () => this.#schedule()
  }

  stop(): void {
    this.#isRunning = false
  }

  async drained(): Promise<void> {
    const deadline = performance.now() + DRAIN_MS_MAX
    while (this.#delivered() < this.sent || this.#publishers.some(({ inFlight }) => inFlight > 0)) {
      if (performance.now() > deadline) throw new Error('the server left messages undelivered')
      await sleep(POLL_MS)
    }
  }

  /** Once for all chunks that come in one turn of the event loop. */
  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      this.turn()
    })
  }

  turn(): void {
    if (!this.#isRunning) return
    const now = performance.now()
    let free = this.#inFlightMax - (this.sent - this.#delivered())
    const publishers = this.#publishers
    while (free-- > 0) {
      const publisher = publishers[this.sent % publishers.length]!
      if (!publisher.hasRoom) break
      publisher.queue(now)
      this.sent++
    }
    for (const publisher of publishers) publisher.flush()
  }

  /** To every subscriber. */
  #delivered(): number {
    return Math.min(...this.#subscribers.map(({ received }) => received))
  }
}
