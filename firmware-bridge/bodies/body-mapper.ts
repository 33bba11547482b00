/** Which entry of the configuration a body belongs to, and what becomes of it by that. */
import { filterCovers } from '../../broker/config/topic-filter.ts'
import { CborBody } from './cbor-body.ts'
import type { BodyConfig } from './config.ts'
import type { MappedBody } from './mapped-body.ts'
import { splitTimePrefix } from './time-prefix.ts'

export interface BodyCounters {
  mapped: number
  malformed: number
}

interface Entry {
  readonly config: BodyConfig
  readonly clients: RegExp
  readonly cbor: CborBody | null
}

const UNCONNECTED = 'unconnected'

export class BodyMapper {
  readonly counters: BodyCounters = { mapped: 0, malformed: 0 }
  readonly #entries: readonly Entry[]

  constructor(configs: readonly BodyConfig[]) {
    this.#entries = configs.map((config) => ({
      config,
      clients: patternOf(config.clients),
      cbor: config.format === 'cbor' ? new CborBody(config) : null,
    }))
  }

  /**
   * Of a device's PUBLISH.
   * @param clientId null: of one that never connects
   * @param body valid during the call only; what is returned is no part of it
   * @returns null: opaque
   */
  fromDevice(clientId: string | null, topic: string, body: Uint8Array): MappedBody | null {
    const entry = this.#entries.find(
      ({ config, clients }) => clients.test(clientId ?? '') && filterCovers(config.topic, topic),
    )
    if (entry === undefined) return null
    const { config, cbor } = entry
    const timed = config.time === 'prefix' ? splitTimePrefix(body) : { rest: body, deviceTimeMs: null }
    if (timed === null) return this.#malformed(config, clientId, body, 'it has no time before it')
    if (cbor === null) {
      return config.time === 'prefix' ? this.#mapped(Buffer.from(timed.rest), timed.deviceTimeMs) : null
    }
    const result = cbor.decode(timed.rest)
    if (result.kind === 'malformed') return this.#malformed(config, clientId, body, result.reason)
    return this.#mapped(Buffer.from(result.json), result.deviceTimeMs ?? timed.deviceTimeMs)
  }

  #mapped(payload: Uint8Array, deviceTimeMs: number | null): MappedBody {
    this.counters.mapped++
    return { kind: 'mapped', payload, deviceTimeMs }
  }

  #malformed(
    { malformed, deadLetterTopic }: BodyConfig,
    clientId: string | null,
    body: Uint8Array,
    reason: string,
  ): MappedBody {
    this.counters.malformed++
    if (malformed === 'refuse') return { kind: 'refused', reason }
    const passed = { kind: 'mapped', payload: Buffer.from(body), deviceTimeMs: null, fault: reason } as const
    if (malformed === 'pass') return passed
    return { ...passed, topic: deadLetterTopic.replaceAll('%c', () => clientId ?? UNCONNECTED) }
  }
}

/** `*` stands for any characters. */
function patternOf(pattern: string): RegExp {
  const parts = pattern.split('*').map((part) => part.replace(/[\\^$.|?*+()[\]{}/]/g, '\\$&'))
  return new RegExp(`^${parts.join('.*')}$`, 'su')
}
