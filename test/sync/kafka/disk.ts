/** What a broker's disk lost, done to its files while it is down. */
import { readdirSync, readFileSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import type { KafkaServer } from '../../support/kafka/index.ts'

/** Takes the last batches, of which each second one is the marker of a transaction, off a partition's log. */
export function cutLastBatches(
  server: KafkaServer,
  topic: string,
  partition: number,
  count: number | 'all',
): void {
  const directory = join(server.directory, 'data', `${topic}-${partition}`)
  const logs = readdirSync(directory).filter((file) => file.endsWith('.log'))
  const segment = join(directory, logs.sort().at(-1)!)
  const bytes = readFileSync(segment)
  const starts: number[] = []
  for (let at = 0; at < bytes.length && bytes.readInt32BE(at + 8) > 0; at += 12 + bytes.readInt32BE(at + 8))
    starts.push(at)
  truncateSync(segment, count === 'all' ? 0 : starts.at(-count)!)
}
