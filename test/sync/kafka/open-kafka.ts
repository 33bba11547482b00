/** Kafka upstreams for tests: options with short names, and a wire whose requests a test stands in front of. */
import { type Clock, systemClock } from '../../../sync/clock.ts'
import { KafkaUpstream, type KafkaUpstreamOptions } from '../../../sync/kafka/kafka-upstream.ts'
import { openWire, type WireOptions } from '../../../sync/kafka/platformatic-wire.ts'
import type { KafkaWire } from '../../../sync/kafka/wire.ts'

export function kafkaOptions(bootstrap: string, name: string, changes: Partial<KafkaUpstreamOptions> = {}) {
  const options: KafkaUpstreamOptions = {
    name: 'kafka',
    bootstrap,
    topic: `${name}-{stream}`,
    createTopics: true,
    replicationFactor: -1,
    topicConfig: {},
    groupPrefix: `${name}.`,
    transactionTimeoutMs: 10_000,
    batchBytesMax: 1_000_000,
    provenance: 'record',
    mode: 'exactly-once',
    partitioning: 'auto',
    compression: 'none',
    ...changes,
  }
  return options
}

export function wireOptions(bootstrap: string, changes: Partial<WireOptions> = {}): WireOptions {
  const addresses = bootstrap.split(',').map((address) => {
    const [host, port] = address.split(':')
    return { host: host!, port: Number(port) }
  })
  return { clientId: 'headwater-test', bootstrap: addresses, connectMs: 5000, requestMs: 10_000, ...changes }
}

/** Puts `around` in front of every request of a wire. */
export function wrapWire(
  wire: KafkaWire,
  around: (method: string, ask: () => Promise<unknown>, args: readonly unknown[]) => Promise<unknown>,
): KafkaWire {
  return new Proxy(wire, {
    get(target, property: keyof KafkaWire) {
      const method = target[property]
      if (typeof method !== 'function') return method
      if (property === 'close') return method.bind(target)
      return (...args: unknown[]) =>
        around(property, () => (method as (...a: unknown[]) => Promise<unknown>).apply(target, args), args)
    },
  })
}

export interface OpenOptions {
  readonly options?: Partial<KafkaUpstreamOptions>
  readonly wire?: Partial<WireOptions>
  readonly clock?: Clock
  readonly around?: (method: string, ask: () => Promise<unknown>) => Promise<unknown>
  readonly resendMs?: number
}

export function openKafka(
  bootstrap: string,
  name: string,
  { options, wire, around, resendMs, clock = systemClock }: OpenOptions = {},
): KafkaUpstream {
  return new KafkaUpstream(kafkaOptions(bootstrap, name, options), {
    clock,
    ...(resendMs === undefined ? {} : { resendMs }),
    openWire: async () => {
      const opened = await openWire(wireOptions(bootstrap, wire))
      return around === undefined ? opened : wrapWire(opened, around)
    },
  })
}
