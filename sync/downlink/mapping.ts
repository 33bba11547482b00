/** From a record to a message, or to the reason why it is passed over. Pure: the same record gives the same answer, but for its age. */
import type { DownlinkConfig } from '../config/downlink.ts'
import { hopsOf, isOwn } from './provenance.ts'
import type { SourceRecord } from './source.ts'
import { decodeText, TopicTemplate } from './topic-template.ts'

/**
 * elsewhere  the filter says that it is for another edge
 * own        this edge sent it upstream
 * hops       it came through too many downlinks
 * expired    older than maxAgeSeconds
 * topic      it gives no legal MQTT topic
 * large      larger than payloadBytesMax, or than the broker's log takes
 */
export type PassedOver = 'elsewhere' | 'own' | 'hops' | 'expired' | 'topic' | 'large'

export type Mapped =
  | { readonly topic: string; readonly payload: Buffer; readonly isRetained: boolean }
  | { readonly passedOver: PassedOver; readonly reason: string }

export type MappingOptions = Pick<
  DownlinkConfig,
  'filter' | 'mqttTopic' | 'retain' | 'payloadBytesMax' | 'maxAgeSeconds' | 'ownRecords' | 'hopsMax'
>

const EMPTY = Buffer.alloc(0)

export class Mapping {
  readonly #options: MappingOptions
  readonly #edge: string
  readonly #template: TopicTemplate
  readonly #prefixes: readonly Buffer[]
  readonly #headers: readonly (readonly [key: string, value: string])[]

  constructor(options: MappingOptions, edge: string) {
    this.#options = options
    this.#edge = edge
    this.#template = new TopicTemplate(options.mqttTopic)
    const named = (text: string) => text.replaceAll('{edge}', edge)
    this.#prefixes = options.filter.keyPrefixes.map((prefix) => Buffer.from(named(prefix)))
    this.#headers = Object.entries(options.filter.headers).map(([key, value]) => [key, named(value)])
  }

  /** @param now ms since 1970; null while the clock is not to be trusted */
  map(record: SourceRecord, partition: number, now: number | null): Mapped {
    const { ownRecords, hopsMax, maxAgeSeconds, payloadBytesMax } = this.#options
    const prefix = this.#prefixes.find(
      (bytes) => record.key?.subarray(0, bytes.length).equals(bytes) === true,
    )
    if (this.#prefixes.length > 0 && prefix === undefined) return pass('elsewhere', 'its key')
    if (!this.#headers.every(([key, value]) => hasHeader(record, key, value)))
      return pass('elsewhere', 'its headers')
    if (ownRecords === 'drop' && isOwn(record, this.#edge)) return pass('own', 'this edge sent it')
    if (hopsOf(record) >= hopsMax) return pass('hops', `it came through ${hopsOf(record)} downlinks`)
    if (maxAgeSeconds !== undefined && now !== null && now - record.timestamp > maxAgeSeconds * 1000) {
      return pass('expired', `it is ${Math.round((now - record.timestamp) / 1000)} s old`)
    }
    const payload = record.value ?? EMPTY
    if (payload.length > payloadBytesMax) return pass('large', `its value has ${payload.length} bytes`)
    const rest = prefix === undefined ? null : decodeText(record.key!.subarray(prefix.length))
    const filled = this.#template.fill(record, { edge: this.#edge, partition, rest })
    if ('fault' in filled) return pass('topic', filled.fault)
    return { topic: filled.topic, payload, isRetained: this.#isRetained(record) }
  }

  #isRetained(record: SourceRecord): boolean {
    const { retain } = this.#options
    if (typeof retain === 'boolean') return retain
    return hasHeader(record, retain.header, 'true') || hasHeader(record, retain.header, '1')
  }
}

function hasHeader(record: SourceRecord, key: string, value: string): boolean {
  return record.headers.some((header) => header.key === key && header.value?.toString('utf8') === value)
}

function pass(passedOver: PassedOver, reason: string): Mapped {
  return { passedOver, reason }
}
