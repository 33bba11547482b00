/**
 * A set of a stream's partitions in a checkpoint's metadata: base64 of bits, partition 8n + k being bit k of byte n. At most 172 bytes,
 * because a stream has at most 1024 partitions.
 *
 * Example: {0, 1, 2}: "Bw=="; {9}: "AAI=".
 */

export function packPartitions(partitions: ReadonlySet<number>): string {
  const bytes = Buffer.alloc(Math.floor(Math.max(-1, ...partitions) / 8) + 1)
  for (const partition of partitions) bytes[partition >> 3]! |= 1 << (partition & 7)
  return bytes.toString('base64')
}

export function unpackPartitions(text: string): Set<number> {
  const partitions = new Set<number>()
  for (const [index, byte] of Buffer.from(text, 'base64').entries()) {
    for (let bit = 0; bit < 8; bit++) if ((byte >> bit) & 1) partitions.add(index * 8 + bit)
  }
  return partitions
}
