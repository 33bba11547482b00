/**
 * What stands beside a committed offset: the offset says how far, this says of which log, into which topic. At most 4096
 * bytes (Kafka's offset.metadata.max.bytes). JSON, so that `kafka-consumer-groups.sh` shows people something to read:
 *
 *   {"v":1,"incarnation":"…","stream":"events","proof":3735928559,"cluster":"…","topicId":"…","at":812,"epoch":0}
 *
 * `proof` is proof.ts's. `at` is the topic's offset of the last record sent and `epoch` its leader epoch: with
 * OffsetForLeaderEpoch they show whether the cluster has lost it since.
 */
const VERSION = 1
export const METADATA_BYTES_MAX = 4096

export interface CheckpointMetadata {
  readonly incarnation: string
  readonly stream: string
  readonly proof: number | null
  readonly cluster: string
  readonly topicId: string
  readonly at: number
  readonly epoch: number
}

export function encodeMetadata(metadata: CheckpointMetadata): string {
  return JSON.stringify({ v: VERSION, ...metadata })
}

/** @returns null for what this program did not write. */
export function parseMetadata(text: string): CheckpointMetadata | null {
  try {
    const value = JSON.parse(text) as CheckpointMetadata & { v: number }
    if (value.v !== VERSION) return null
    const texts = [value.incarnation, value.stream, value.cluster, value.topicId]
    if (!texts.every((field) => typeof field === 'string')) return null
    return value
  } catch {
    return null
  }
}
