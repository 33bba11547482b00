/**
 * What stands beside a committed offset: the offset says how far, this says of which log, into which topic. At most 4096
 * bytes (Kafka's offset.metadata.max.bytes). JSON, so that `kafka-consumer-groups.sh` shows people something to read.
 *
 * Mapped by identity, beside each partition's own offset:
 *
 *   {"v":1,"incarnation":"…","stream":"events","proof":3735928559,"cluster":"…","topicId":"…","at":812,"epoch":0}
 *
 * `proof` is proof.ts's. `at` is the topic's offset of the last record sent and `epoch` its leader epoch: with
 * OffsetForLeaderEpoch they show whether the cluster has lost it since.
 *
 * Mapped by key, beside the offset of a carrier (packed-positions.ts), which is the sum of the positions:
 *
 *   {"v":2,"incarnation":"…","stream":"events","cluster":"…","topicId":"…","width":3,"positions":"0.15.;1.100.1ps9wxb"}
 *
 * `width` is how many partitions of the topic the keys are spread over.
 */
import { packPositions, unpackPositions } from './packed-positions.ts'
import type { Position } from './routes.ts'

const SINGLE_VERSION = 1
const PACKED_VERSION = 2
export const METADATA_BYTES_MAX = 4096

interface Owner {
  readonly incarnation: string
  readonly stream: string
  readonly cluster: string
  readonly topicId: string
}

export interface CheckpointMetadata extends Owner {
  readonly proof: number | null
  readonly at: number
  readonly epoch: number
}

export interface PackedMetadata extends Owner {
  readonly width: number
  /** By the stream's partition. */
  readonly positions: ReadonlyMap<number, Position>
}

export type ParsedMetadata =
  | ({ readonly kind: 'single' } & CheckpointMetadata)
  | ({ readonly kind: 'packed' } & PackedMetadata)

export function encodeMetadata(metadata: CheckpointMetadata): string {
  return JSON.stringify({ v: SINGLE_VERSION, ...metadata })
}

export function encodePackedMetadata({ positions, ...rest }: PackedMetadata): string {
  return JSON.stringify({ v: PACKED_VERSION, ...rest, positions: packPositions(positions) })
}

/** @returns null for what this program did not write. */
export function parseMetadata(text: string): ParsedMetadata | null {
  try {
    const value = JSON.parse(text) as CheckpointMetadata & { v: number; width: number; positions: string }
    const texts = [value.incarnation, value.stream, value.cluster, value.topicId]
    if (!texts.every((field) => typeof field === 'string')) return null
    const { v, ...rest } = value
    if (v === SINGLE_VERSION) return { ...rest, kind: 'single' }
    if (v !== PACKED_VERSION || !(Number.isSafeInteger(value.width) && value.width > 0)) return null
    const positions = unpackPositions(value.positions)
    return positions === null ? null : { ...rest, positions, kind: 'packed' }
  } catch {
    return null
  }
}
