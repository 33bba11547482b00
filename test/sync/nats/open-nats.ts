/** NATS upstreams for tests, and wires whose requests a test stands in front of. */
import { randomUUID } from 'node:crypto'
import { partitionKey, readRecords } from '../../../broker/index.ts'
import type { NatsUpstreamConfig } from '../../../sync/config.ts'
import { connectNats } from '../../../sync/nats/connect.ts'
import { streamNameOf, subjectOf } from '../../../sync/nats/format.ts'
import { NatsUpstream, type NatsUpstreamOptions } from '../../../sync/nats/nats-upstream.ts'
import { type ReadMessage, readMessages } from '../../../sync/nats/reader.ts'
import { type NatsWire, NatsWireError } from '../../../sync/nats/wire.ts'
import { testIdentity } from '../memory-log.ts'
import { type ReadBack, readBackOf, type UpstreamPlace } from '../upstream-harness.ts'

export function natsConfig(address: string, changes: Partial<NatsUpstreamConfig> = {}): NatsUpstreamConfig {
  return {
    name: 'central',
    kind: 'nats',
    servers: [address],
    stream: 'headwater',
    subjectPrefix: 'headwater',
    createStream: true,
    newStream: { replicas: 1, storage: 'file', bytesMax: -1, ageHoursMax: 0 },
    inboxPrefix: '_INBOX',
    messageBytesMax: 524_288,
    ackMs: 5000,
    round: { bytesMax: 65_536, lingerMs: 20 },
    backoff: { firstMs: 50, msMax: 500 },
    ...changes,
  }
}

type Around = (method: string, ask: () => Promise<unknown>) => Promise<unknown>

function wrapWire(wire: NatsWire, around: Around): NatsWire {
  return new Proxy(wire, {
    get(target, property: keyof NatsWire) {
      const method = target[property]
      if (typeof method !== 'function') return method
      if (property === 'close' || property === 'messages') return method.bind(target)
      return (...args: unknown[]) =>
        around(property, () => (method as (...a: unknown[]) => Promise<unknown>).apply(target, args))
    },
  })
}

export interface OpenOptions {
  readonly config?: Partial<NatsUpstreamConfig>
  readonly options?: Partial<NatsUpstreamOptions>
  readonly around?: Around
}

export function openNats(address: string, { config, options, around }: OpenOptions = {}): NatsUpstream {
  const settings = natsConfig(address, config)
  return new NatsUpstream(
    { ...settings, address, ...options },
    {
      randomUuid: randomUUID,
      openWire: async () => {
        const wire = await connectNats(settings, 'headwater-test')
        return around === undefined ? wire : wrapWire(wire, around)
      },
    },
  )
}

/** After `steps` requests none reaches the server; with `late` the first that does not return is answered to nobody. */
export function mortalRequests(late = false) {
  let left = Number.POSITIVE_INFINITY
  let dead = false
  return {
    arm: (steps: number) => {
      left = steps
    },
    died: () => dead,
    async around(_method: string, ask: () => Promise<unknown>): Promise<unknown> {
      if (left-- > 0) return ask()
      if (late && !dead) {
        dead = true
        await ask()
      }
      dead = true
      throw new NatsWireError('broken', 'the process died here', null)
    },
  }
}

/** All messages of one partition, read as a consumer reads them. */
export async function messagesOf(
  address: string,
  stream: string,
  partition: number,
  config: Partial<NatsUpstreamConfig> = {},
  env: NodeJS.ProcessEnv = {},
): Promise<ReadMessage[]> {
  const settings = natsConfig(address, config)
  const { edge } = testIdentity()
  const wire = await connectNats(settings, 'headwater-test-reader', { env })
  try {
    const subject = subjectOf(settings.subjectPrefix, edge, stream, partition)
    const name = streamNameOf(settings.stream, edge, stream)
    const messages: ReadMessage[] = []
    for await (const message of readMessages(wire, name, subject)) messages.push(message)
    return messages
  } finally {
    wire.close()
  }
}

export function recordsOf(messages: readonly ReadMessage[]): ReadBack[] {
  return messages.flatMap(({ batches }) =>
    batches.flatMap(({ stream, partition, bytes }) =>
      [...readRecords(bytes)].map((record) => readBackOf(stream, partition, record)),
    ),
  )
}

/** Throws where one message does not begin at the position that the one before it ended with, unless a person moved it. */
export function expectChain(messages: readonly ReadMessage[]): void {
  for (const [i, { head, batches }] of messages.entries()) {
    if (head.from === head.next && batches.length === 0) continue
    const before = messages[i - 1]?.head.next ?? head.from
    const key = partitionKey(head.origin.stream, head.origin.partition)
    if (head.from !== before)
      throw new Error(`${key}: a message from ${head.from} follows position ${before}`)
  }
}

export function natsPlace(address: string, config: Partial<NatsUpstreamConfig> = {}): UpstreamPlace {
  return {
    open: () => openNats(address, { config }),
    openMortal: () => {
      const { arm, died, around } = mortalRequests()
      return { upstream: openNats(address, { config, around }), arm, died }
    },
    async openRefusing(stream) {
      // Whoever writes to its subject: what stands there last is no checkpoint any more.
      const settings = natsConfig(address, config)
      const { edge } = testIdentity()
      const { connect } = await import('@nats-io/transport-node')
      const { jetstream, jetstreamManager } = await import('@nats-io/jetstream')
      const connection = await connect({ servers: address })
      const { seq } = await jetstream(connection).publish(
        subjectOf(settings.subjectPrefix, edge, stream, 0),
        'x',
      )
      const allow = async () => {
        const { streams } = await jetstreamManager(connection)
        await streams.deleteMessage(streamNameOf(settings.stream, edge, stream), seq)
        await connection.close()
      }
      return { upstream: openNats(address, { config }), allow }
    },
    async read(streams) {
      const out: ReadBack[] = []
      for (const [stream, partitions] of streams) {
        for (let partition = 0; partition < partitions; partition++) {
          const messages = await messagesOf(address, stream, partition, config)
          expectChain(messages)
          out.push(...recordsOf(messages))
        }
      }
      return out
    },
    dispose: async () => {},
  }
}
