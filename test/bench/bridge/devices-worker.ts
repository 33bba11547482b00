/** Many devices at a steady rate each, in a process of its own: their latency from send to PUBACK. */
import { setTimeout as sleep } from 'node:timers/promises'
import { onJob } from '../children.ts'
import { clientIdOf } from '../ingest/manner.ts'
import { Tally } from '../ingest/publisher.ts'
import { snapshot } from '../ingest/snapshot.ts'
import { memory } from '../process-usage.ts'
import { type LoadDevice, mqttDevice } from './load-device.ts'
import { UdpDevice } from './udp-device.ts'

export interface DevicesJob {
  /** `udp`: through the bridge; `mqtt`: to the broker. */
  readonly kind: 'udp' | 'mqtt'
  readonly port: number
  /** Whose processor time and memory are told. */
  readonly pid: number
  readonly devices: number
  /** Of each device. */
  readonly perSecond: number
  readonly payloadBytes: number
  readonly warmSeconds: number
  readonly seconds: number
}

export type DevicesResult = {
  readonly messages: number
  readonly messagesInAll: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly cpuUs: number
  /** The highest since the process began. */
  readonly rssPeakBytes: number
  readonly generatorCpuShare: number
}

/** A timer's step: what is due by then goes at once, so latency counts from when a message was sent. */
const PACE_MS = 1
const DRAIN_MS_MAX = 10_000

onJob(async (job: DevicesJob): Promise<DevicesResult> => {
  const tally = new Tally()
  const devices: LoadDevice[] = []
  for (let index = 0; index < job.devices; index++) devices.push(await connected(job, index, tally))
  let pacing!: NodeJS.Timeout
  const failed = new Promise<never>((_, reject) => {
    for (const device of devices) device.onFailure = reject
    pacing = pace(devices, job.perSecond, reject)
  })
  await Promise.race([sleep(job.warmSeconds * 1000), failed])
  const before = snapshot(job.pid)
  tally.reset()
  await Promise.race([sleep(job.seconds * 1000), failed])
  const after = snapshot(job.pid)
  const { acknowledged: messages, latency } = tally
  const [p50Ms, p99Ms] = [latency.quantile(0.5) / 1000, latency.quantile(0.99) / 1000]
  clearInterval(pacing)
  await Promise.race([drained(devices), failed])
  await Promise.all(devices.map((device) => device.close()))
  return {
    messages,
    messagesInAll: tally.inAll,
    p50Ms,
    p99Ms,
    cpuUs: ((after.server - before.server) * 1e6) / messages,
    rssPeakBytes: memory(job.pid).rssPeakBytes,
    generatorCpuShare: (after.own - before.own) / (after.at - before.at),
  }
})

function connected(
  { kind, port, payloadBytes }: DevicesJob,
  index: number,
  tally: Tally,
): Promise<LoadDevice> {
  return kind === 'udp'
    ? UdpDevice.connect(port, clientIdOf(index), payloadBytes, tally)
    : mqttDevice(port, index, payloadBytes, tally)
}

/** In turns, so that devices are spread evenly over time. */
function pace(
  devices: readonly LoadDevice[],
  perSecond: number,
  fail: (error: Error) => void,
): NodeJS.Timeout {
  const startedAt = performance.now()
  const perMs = (devices.length * perSecond) / 1000
  let sent = 0
  return setInterval(() => {
    const due = Math.floor((performance.now() - startedAt) * perMs)
    try {
      for (; sent < due; sent++) devices[sent % devices.length]!.publish()
    } catch (error) {
      fail(error as Error)
    }
  }, PACE_MS)
}

async function drained(devices: readonly LoadDevice[]): Promise<void> {
  const deadline = performance.now() + DRAIN_MS_MAX
  while (devices.some(({ inFlight }) => inFlight > 0)) {
    if (performance.now() > deadline) throw new Error('messages were left without an acknowledgement')
    await sleep(5)
  }
}
