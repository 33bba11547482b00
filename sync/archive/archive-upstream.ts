/**
 * An upstream on a directory or a mounted disk: the embedded default, and the way to carry data out of a site that has no
 * link. A round is appended to the current batch file and synced; then the manifest is replaced, and only that makes it
 * count. A crash before leaves bytes behind the counted ones, or a file that the manifest does not name: both are
 * removed at the next start, and the round is sent again.
 */
import { join } from 'node:path'
import {
  type LogIdentity,
  type PartitionState,
  partitionKey,
  type StoredBatch,
  trimBatch,
} from '../../broker/index.ts'
import {
  ArchiveDamagedError,
  ArchiveUnwritableError,
  CheckpointMismatchError,
  UpstreamError,
} from '../errors.ts'
import { partProof } from '../proof.ts'
import type { Positions, Recovered, RecoveredPartition, Round, RoundPart, Upstream } from '../upstream.ts'
import { type ArchiveFiles, nodeArchiveFiles } from './files.ts'
import { encodeEntryHead, encodeFileHead, fileName, fileNumber } from './format.ts'
import { type Manifest, type Position, readManifest, writeManifest } from './manifest.ts'

export interface ArchiveOptions {
  readonly name: string
  readonly directory: string
  /** A file is closed at the first round that takes it past this. */
  readonly fileBytesMax: number
}

export interface ArchiveDeps {
  readonly files?: ArchiveFiles
  readonly randomUuid: () => string
}

export class ArchiveUpstream implements Upstream {
  readonly kind = 'archive'
  readonly name: string
  readonly address: string
  readonly #files: ArchiveFiles
  readonly #randomUuid: () => string
  readonly #fileBytesMax: number
  /** What is on disk for certain; null until `recover` and after any error. */
  #manifest: Manifest | null = null

  constructor(options: ArchiveOptions, deps: ArchiveDeps) {
    this.name = options.name
    this.address = options.directory
    this.#fileBytesMax = options.fileBytesMax
    this.#files = deps.files ?? nodeArchiveFiles
    this.#randomUuid = deps.randomUuid
  }

  async recover(identity: LogIdentity, partitions: readonly PartitionState[]): Promise<Recovered> {
    this.#manifest = null
    const manifest = await this.#guarded(async () => {
      await this.#files.makeDirectory(this.address)
      const found = (await readManifest(this.#files, this.address)) ?? (await this.#create(identity))
      this.#check(found, identity)
      return this.#discardUncounted(found)
    })
    this.#manifest = manifest
    const recovered = new Map<string, RecoveredPartition>()
    for (const { stream, partition } of partitions) {
      const key = partitionKey(stream, partition)
      const position = manifest.positions.get(key)
      recovered.set(key, {
        next: position?.next ?? null,
        proof: position?.proof ?? null,
        place: manifest.archive,
      })
    }
    return { partitions: recovered }
  }

  async send(round: Round): Promise<Positions> {
    const before = this.#manifest
    if (before === null)
      throw new ArchiveUnwritableError(this.address, 'it was not recovered', 'recover first')
    this.#manifest = null
    const { bytes, positions } = encodeRound(round)
    const after = await this.#guarded(async () => {
      const full = before.file === 0 || before.fileBytes >= this.#fileBytesMax
      const current = full ? await this.#nextFile(before) : before
      const path = join(this.address, fileName(current.file))
      await this.#files.writeSynced(path, bytes, current.fileBytes)
      const manifest: Manifest = {
        ...current,
        fileBytes: current.fileBytes + bytes.length,
        positions: new Map([...current.positions, ...positions]),
      }
      await writeManifest(this.#files, this.address, manifest)
      return manifest
    })
    this.#manifest = after
    return new Map([...positions].map(([key, { next }]) => [key, next]))
  }

  async disconnect(): Promise<void> {
    this.#manifest = null
  }

  async close(): Promise<void> {
    this.#manifest = null
  }

  /** The manifest of an archive without records comes first: batch files without one are then never ours to remove. */
  async #create(identity: LogIdentity): Promise<Manifest> {
    const strays = (await this.#files.list(this.address)).filter((name) => fileNumber(name) !== null)
    if (strays.length > 0) {
      throw new ArchiveDamagedError(this.address, `it has ${strays.length} batch files and no manifest.json`)
    }
    const { edge, incarnation } = identity
    const empty: Manifest = {
      edge,
      incarnation,
      archive: this.#randomUuid(),
      file: 0,
      fileBytes: 0,
      positions: new Map(),
    }
    await writeManifest(this.#files, this.address, empty)
    return empty
  }

  #check(manifest: Manifest, identity: LogIdentity): void {
    const elsewhere = 'give this upstream another directory, or this edge the one that belongs to it'
    if (manifest.edge !== identity.edge) {
      throw new CheckpointMismatchError(
        `the archive ${this.address} belongs to edge ${manifest.edge}, this is ${identity.edge}`,
        elsewhere,
      )
    }
    if (manifest.incarnation !== identity.incarnation) {
      throw new CheckpointMismatchError(
        `the archive ${this.address} belongs to incarnation ${manifest.incarnation} of this edge, the log is ${identity.incarnation}`,
        elsewhere,
      )
    }
  }

  /** Removes what a round left that was not completed. */
  async #discardUncounted(manifest: Manifest): Promise<Manifest> {
    for (const name of await this.#files.list(this.address)) {
      if ((fileNumber(name) ?? 0) > manifest.file) await this.#files.remove(join(this.address, name))
    }
    if (manifest.file === 0) return manifest
    const path = join(this.address, fileName(manifest.file))
    const size = await this.#files.size(path)
    // Carried away with its site's data: the next round begins a new file.
    if (size === null) return { ...manifest, fileBytes: Number.MAX_SAFE_INTEGER }
    if (size < manifest.fileBytes) {
      throw new ArchiveDamagedError(path, `it has ${size} bytes, the manifest counts ${manifest.fileBytes}`)
    }
    if (size > manifest.fileBytes) await this.#files.truncate(path, manifest.fileBytes)
    return manifest
  }

  async #nextFile(manifest: Manifest): Promise<Manifest> {
    const { edge, incarnation, archive } = manifest
    const file = manifest.file + 1
    const head = encodeFileHead({ edge, incarnation, archive })
    await this.#files.writeSynced(join(this.address, fileName(file)), head, 0)
    // The name is made durable before a manifest counts on it.
    await this.#files.syncDirectory(this.address)
    return { ...manifest, file, fileBytes: head.length }
  }

  async #guarded<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      if (error instanceof UpstreamError) throw error
      throw unwritable(this.address, error)
    }
  }
}

function encodeRound(round: Round): { bytes: Buffer; positions: Map<string, Position> } {
  const pieces: Buffer[] = []
  const positions = new Map<string, Position>()
  for (const part of round.parts) {
    for (const batch of trimmed(part)) {
      pieces.push(encodeEntryHead(part.stream, part.partition, batch), batch)
    }
    const key = partitionKey(part.stream, part.partition)
    positions.set(key, { next: part.nextOffset, proof: partProof(part) })
  }
  return { bytes: Buffer.concat(pieces), positions }
}

/** The part's batches without the records below its position. */
function trimmed(part: RoundPart): Buffer[] {
  const whole = (batch: StoredBatch) =>
    batch.baseOffset >= part.fromOffset ? batch.bytes : trimBatch(batch.bytes, part.fromOffset)
  return part.batches
    .filter((batch) => batch.nextOffset > part.fromOffset)
    .map(whole)
    .filter((batch) => batch !== null)
}

function unwritable(directory: string, cause: unknown): ArchiveUnwritableError {
  const { code, message } = cause as NodeJS.ErrnoException
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new ArchiveUnwritableError(
        directory,
        'the disk is full',
        'free space there, or carry closed batch files away; sync goes on by itself',
        cause,
      )
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new ArchiveUnwritableError(
        directory,
        code === 'EROFS' ? 'the disk is read-only' : 'writing is not permitted',
        'let the user that runs headwater write there',
        cause,
      )
    case 'ENOTDIR':
    case 'EEXIST':
      return new ArchiveUnwritableError(directory, 'it is not a directory', 'name a directory', cause)
    default:
      return new ArchiveUnwritableError(
        directory,
        message ?? String(cause),
        'check the disk and its mount; sync goes on by itself',
        cause,
      )
  }
}
