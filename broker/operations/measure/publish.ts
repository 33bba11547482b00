/** How many messages a running broker acknowledges, and how soon: QoS 1 over TCP from this machine. */
import { readFile } from 'node:fs/promises'
import type { MqttClient } from 'mqtt'
import { type Latencies, latenciesOf } from './latencies.ts'

export interface PublishLoad {
  readonly url: string
  readonly topic: string
  readonly connections: number
  /** Messages of one connection that wait for their acknowledgement. */
  readonly inFlight: number
  readonly payloadBytes: number
  readonly seconds: number
  readonly user: string | null
  readonly passwordFile: string | null
}

export interface Published {
  readonly messages: number
  readonly messagesPerSecond: number
  /** From PUBLISH to PUBACK. */
  readonly ackMs: Latencies
}

const CONNECT_MS_MAX = 10_000

/** @throws what a client throws: refused, not authorized, disconnected */
export async function measurePublish(
  load: PublishLoad,
  signal: AbortSignal,
  onSecond: (done: number) => void = () => {},
): Promise<Published> {
  const { connectAsync } = await import('mqtt')
  const password = load.passwordFile === null ? null : await readFile(load.passwordFile, 'utf8')
  const login =
    load.user === null ? {} : { username: load.user, password: password?.replace(/\r?\n$/, '') ?? '' }
  const options = { ...login, reconnectPeriod: 0, connectTimeout: CONNECT_MS_MAX }
  const clients: MqttClient[] = []
  try {
    for (let i = 0; i < load.connections; i++) {
      // no more than the first refusal is needed
      clients.push(await connectAsync(load.url, options, false))
    }
    return await publishAll(clients, load, signal, onSecond)
  } finally {
    await Promise.all(clients.map((client) => client.endAsync(true).catch(() => {})))
  }
}

async function publishAll(
  clients: readonly MqttClient[],
  { topic, inFlight, payloadBytes, seconds }: PublishLoad,
  signal: AbortSignal,
  onSecond: (done: number) => void,
): Promise<Published> {
  const payload = Buffer.alloc(payloadBytes, 0x61)
  const taken: number[] = []
  const startedAt = performance.now()
  const isOver = () => signal.aborted || performance.now() - startedAt >= seconds * 1000
  const ticks = setInterval(() => onSecond((performance.now() - startedAt) / 1000), 200)
  const lane = async (client: MqttClient) => {
    while (!isOver()) {
      const at = performance.now()
      await client.publishAsync(topic, payload, { qos: 1 })
      taken.push(performance.now() - at)
    }
  }
  try {
    const lanes = clients.flatMap((client) => Array.from({ length: inFlight }, () => lane(client)))
    await Promise.all([...lanes, ...clients.map((client) => whileOpen(client, lanes))])
  } finally {
    clearInterval(ticks)
  }
  const elapsed = (performance.now() - startedAt) / 1000
  return { messages: taken.length, messagesPerSecond: taken.length / elapsed, ackMs: latenciesOf(taken) }
}

/** A connection that ends leaves its messages without an answer for ever: that is an error, not a wait. */
function whileOpen(client: MqttClient, lanes: readonly Promise<void>[]): Promise<void> {
  return new Promise((resolve, reject) => {
    client.once('close', () => reject(new Error('the broker ended a connection: see its log')))
    Promise.all(lanes).then(() => resolve(), reject)
  })
}
