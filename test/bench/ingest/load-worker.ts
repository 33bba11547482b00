/** The load generator, a process of its own: packets encoded before, acknowledgements counted in place. */
import { setTimeout as sleep } from 'node:timers/promises'
import { onJob } from '../children.ts'
import { memory } from '../process-usage.ts'
import { type LoadJob, type LoadResult, ringEntries } from './load.ts'
import { clientIdOf, topicOf } from './manner.ts'
import { PublishRing } from './packets.ts'
import { Publisher, Tally } from './publisher.ts'
import { snapshot } from './snapshot.ts'

/** Pause between two looks at the clock where the load is paced. */
const PACE_MS = 0.01
const DRAIN_MS_MAX = 30_000
const POLL_MS = 5
/** A server that had so many messages has settled. */
const SETTLE_MS = 2000

onJob(async (job: LoadJob): Promise<LoadResult> => {
  const { warmSeconds, serverPid } = job
  const idleRssBytes = memory(serverPid).rssBytes
  const tally = new Tally()
  const publishers = await connected(job, tally)
  const failed = new Promise<never>((_, reject) => {
    for (const publisher of publishers) publisher.onFailure = reject
  })
  const stop =
    job.ratePerSecond === null ? flood(publishers, job.window) : pace(publishers, job.ratePerSecond)
  await Promise.race([sleep(warmSeconds * 1000), failed])
  const before = snapshot(serverPid)
  tally.reset()
  await Promise.race([isOver(job, tally), failed])
  const after = snapshot(serverPid)
  const messages = tally.acknowledged * messagesOf(job)
  const p50Ms = tally.latency.quantile(0.5) / 1000
  const p99Ms = tally.latency.quantile(0.99) / 1000
  stop()
  await Promise.race([drained(publishers), failed])
  if (job.messagesMax !== null) await Promise.race([sleep(SETTLE_MS), failed])
  const { rssBytes, rssPeakBytes, rssAnonBytes } = memory(serverPid)
  await Promise.all(publishers.map((publisher) => publisher.close()))
  const elapsed = after.at - before.at
  const serverCpu = after.server - before.server
  return {
    messages,
    messagesInAll: tally.inAll * messagesOf(job),
    messagesPerSecond: messages / elapsed,
    p50Ms,
    p99Ms,
    serverCpuUs: (serverCpu * 1e6) / messages,
    serverCpuShare: serverCpu / elapsed,
    generatorCpuShare: (after.own - before.own) / elapsed,
    idleRssBytes,
    rssBytes,
    rssPeakBytes,
    rssAnonBytes,
  }
})

function messagesOf({ entry }: LoadJob): number {
  return entry.qos0 + entry.qos1
}

async function connected(job: LoadJob, tally: Tally): Promise<Publisher[]> {
  const { connections, port, manner, entry, payloadBytes } = job
  const publishers: Publisher[] = []
  for (let i = 0; i < connections; i++) {
    const count = ringEntries(entry)
    const ring = new PublishRing({ topic: topicOf(i), payloadBytes, manner, entry, count, row: i })
    publishers.push(await Publisher.connect(port, manner, clientIdOf(i), ring, tally))
  }
  return publishers
}

async function isOver(job: LoadJob, tally: Tally): Promise<void> {
  const { messagesMax, seconds } = job
  if (messagesMax === null) await sleep(seconds * 1000)
  else while (tally.acknowledged * messagesOf(job) < messagesMax) await sleep(POLL_MS)
}

/** Keeps every connection's window full. @returns how to stop */
function flood(publishers: readonly Publisher[], window: number): () => void {
  let isRunning = true
  for (const publisher of publishers) {
    const fill = (now: number) => {
      if (!isRunning) return
      for (let free = window - publisher.inFlight; free > 0; free--) publisher.queue(now)
      publisher.flush()
    }
    publisher.onAcknowledged = (_count, now) => fill(now)
    fill(performance.now())
  }
  return () => {
    isRunning = false
  }
}

/**
 * Sends on time whether or not the server keeps up; a message's latency counts from when it was due, so that a server that
 * stalls is charged for what it held up.
 */
function pace(publishers: readonly Publisher[], ratePerSecond: number): () => void {
  const nap = new Int32Array(new SharedArrayBuffer(4))
  const startedAt = performance.now()
  let isRunning = true
  let sent = 0
  const turn = () => {
    if (!isRunning) return
    const due = Math.floor(((performance.now() - startedAt) * ratePerSecond) / 1000)
    for (; sent < due; sent++) {
      const publisher = publishers[sent % publishers.length]!
      if (!publisher.hasRoom) break
      publisher.queue(startedAt + (sent * 1000) / ratePerSecond)
    }
    for (const publisher of publishers) publisher.flush()
    // timers are a millisecond apart; this wait is short and costs little
    Atomics.wait(nap, 0, 0, PACE_MS)
    setImmediate(turn)
  }
  turn()
  return () => {
    isRunning = false
  }
}

async function drained(publishers: readonly Publisher[]): Promise<void> {
  const deadline = performance.now() + DRAIN_MS_MAX
  while (publishers.some((publisher) => publisher.inFlight > 0)) {
    if (performance.now() > deadline) throw new Error('the server left messages without an acknowledgement')
    await sleep(5)
  }
}
