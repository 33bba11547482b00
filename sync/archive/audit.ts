/** An archive, read back for the verification. Its entries say whose they are by themselves. */
import { type LogIdentity, type PartitionState, partitionKey, readRecords } from '../../broker/index.ts'
import type { AuditItem, AuditSource, Strangers } from '../audit/source.ts'
import { nodeArchiveFiles } from './files.ts'
import { fileNumber } from './format.ts'
import { readManifest } from './manifest.ts'
import { readArchiveFile } from './reader.ts'

const PLACE = 'archive'

export class ArchiveAudit implements AuditSource {
  readonly kind = 'archive'
  readonly name: string
  readonly address: string
  #otherLogs = 0

  constructor(options: { readonly name: string; readonly directory: string }) {
    this.name = options.name
    this.address = options.directory
  }

  get strangers(): Strangers {
    return { otherEdges: 0, otherLogs: this.#otherLogs, unmarked: 0 }
  }

  /** Files that were carried away leave a gap. While the archive is written, what its manifest counts now is read. */
  async *read(
    identity: LogIdentity,
    partitions: readonly PartitionState[],
    signal: AbortSignal,
  ): AsyncGenerator<AuditItem> {
    const manifest = await readManifest(nodeArchiveFiles, this.address)
    if (manifest === null) return
    const wanted = new Set(partitions.map(({ stream, partition }) => partitionKey(stream, partition)))
    const isOurs = manifest.edge === identity.edge && manifest.incarnation === identity.incarnation
    const present = (await nodeArchiveFiles.list(this.address))
      .map(fileNumber)
      .filter((number): number is number => number !== null && number <= manifest.file)
    let expected = 1
    for (const number of present.sort((a, b) => a - b)) {
      if (number > expected) yield* gaps(partitions, expected, number - 1)
      expected = number + 1
      const counted = number === manifest.file ? manifest.fileBytes : Number.POSITIVE_INFINITY
      for await (const { stream, partition, bytes } of readArchiveFile(this.address, number, counted)) {
        if (signal.aborted) return
        const records = [...readRecords(bytes)]
        if (!isOurs) this.#otherLogs += records.length
        else if (wanted.has(partitionKey(stream, partition))) {
          yield { kind: 'records', place: PLACE, stream, partition, records }
        }
      }
    }
    if (expected <= manifest.file) yield* gaps(partitions, expected, manifest.file)
  }

  async close(): Promise<void> {}
}

function* gaps(partitions: readonly PartitionState[], first: number, last: number): Generator<AuditItem> {
  const files = first === last ? `file ${first} was` : `files ${first} to ${last} were`
  for (const { stream, partition } of partitions) {
    yield { kind: 'gap', place: PLACE, stream, partition, reason: `batch ${files} carried away` }
  }
}
