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
 * Mapped by key, beside the offset of each partition of the topic that a round wrote or that carries positions (packed-positions.ts),
 * whose sum that offset is; 0 where it carries none:
 *
 *   {"v":2,"incarnation":"…","stream":"events","cluster":"…","topicId":"…","width":3,"positions":"0.15.;1.100.1ps9wxb",
 *    "at":812,"epoch":0,"from":"Bw=="}
 *
 * `width` is how many partitions of the topic the keys are spread over. `at` and `epoch` are as above, -1 where they are not known, and
 * `from` tells which of the stream's partitions have records there (packed-partitions.ts). `"behind":true` stands where records that
 * this partition of the topic lost are being sent again (repair.ts).
 */
import { packPartitions, unpackPartitions } from './packed-partitions.ts'
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
  readonly at: number
  readonly epoch: number
  readonly sources: ReadonlySet<number>
  readonly isBehind: boolean
}

interface PackedFields {
  readonly v: number
  readonly width: number
  readonly positions: string
  readonly from?: string
  readonly behind?: boolean
}

export type ParsedMetadata =
  | ({ readonly kind: 'single' } & CheckpointMetadata)
  | ({ readonly kind: 'packed' } & PackedMetadata)

export function encodeMetadata(metadata: CheckpointMetadata): string {
  return JSON.stringify({ v: SINGLE_VERSION, ...metadata })
}

export function encodePackedMetadata(metadata: PackedMetadata): string {
  const { positions, at, epoch, sources, isBehind, ...rest } = metadata
  const lane = { at, epoch, from: packPartitions(sources), ...(isBehind ? { behind: true } : {}) }
  return JSON.stringify({ v: PACKED_VERSION, ...rest, positions: packPositions(positions), ...lane })
}

/** @returns null for what this program did not write. */
export function parseMetadata(text: string): ParsedMetadata | null {
  try {
    const value = JSON.parse(text) as CheckpointMetadata & PackedFields
    const texts = [value.incarnation, value.stream, value.cluster, value.topicId]
    if (!texts.every((field) => typeof field === 'string')) return null
    const { v, width, positions: packed, from, behind, ...rest } = value
    if (v === SINGLE_VERSION) return { ...rest, kind: 'single' }
    if (v !== PACKED_VERSION || !(Number.isSafeInteger(width) && width > 0)) return null
    const positions = packed === '' ? new Map<number, Position>() : unpackPositions(packed)
    if (positions === null) return null
    const sources = unpackPartitions(from ?? '')
    return { ...rest, kind: 'packed', width, positions, sources, isBehind: behind === true }
  } catch {
    return null
  }
}
