/** What the frames of a backup (format.ts) hold: JSON with named fields, facts and entries as length and bytes. */
import type { Entry } from '../../storage/store.ts'
import type { CatalogStream } from '../catalog.ts'
import { COMMIT_KEY_BYTES } from '../commit-key.ts'
import type { ChainFacts, ManifestSegment } from '../manifest.ts'
import type { Unreadable } from '../whole-commits.ts'

export interface BackupHeader {
  /** The version of Headwater that wrote it. */
  readonly headwater: string
  /** The format of the data directory. */
  readonly dataFormat: number
  readonly edge: string
  readonly incarnation: string
  /** When the data directory was made, ISO 8601. */
  readonly createdAt: string
  /** When the backup was taken, ISO 8601, by this device's clock. */
  readonly takenAt: string
  readonly streams: readonly CatalogStream[]
  readonly chains: readonly {
    readonly name: string
    /** All commits up to here are in the backup. */
    readonly commit: number
    /** Of its segments then: about what follows. */
    readonly bytes: number
  }[]
}

export interface ChainBegin {
  readonly name: string
}

/** As in the manifest, but for what is known at its end alone. */
export type SegmentBegin = Omit<ManifestSegment, 'lastCommit' | 'bytes'>

export interface SegmentEnd {
  readonly lastCommit: number
  readonly entries: number
  /** Keys and values together. */
  readonly bytes: number
}

export interface ChainEnd {
  /** The last commit that is in the backup. */
  readonly commit: number
  /** Batches and notes that were damaged in the log: they are in the backup as they were. */
  readonly damaged: number
  /** What could not be read at all and is not in it. */
  readonly unreadable: readonly Unreadable[]
  readonly facts: ChainFacts
}

export type Fact = readonly [key: string, value: Buffer]

export function encodeJson(value: object): Buffer {
  return Buffer.from(JSON.stringify(value), 'utf8')
}

export function encodeFacts(facts: readonly Fact[]): Buffer[] {
  return facts.flatMap(([key, value]) => {
    const name = Buffer.from(key, 'utf8')
    return [u32(name.length), name, u32(value.length), value]
  })
}

/** @throws RangeError */
export function decodeFacts(payload: Buffer): Fact[] {
  const facts: Fact[] = []
  const take = (at: number): Buffer => {
    const end = at + 4 + payload.readUInt32BE(at)
    if (end > payload.length) throw new RangeError('a fact runs past its frame')
    return payload.subarray(at + 4, end)
  }
  for (let at = 0; at < payload.length; ) {
    const key = take(at)
    const value = take(at + 4 + key.length)
    facts.push([key.toString('utf8'), value])
    at += 8 + key.length + value.length
  }
  return facts
}

/** Parts for `FrameWriter.frame`. */
export function encodeEntries(entries: readonly Entry[]): Buffer[] {
  const lengths = Buffer.allocUnsafe(entries.length * 4)
  return entries.flatMap(({ key, value }, i) => {
    lengths.writeUInt32BE(value.length, i * 4)
    return [key, lengths.subarray(i * 4, i * 4 + 4), value]
  })
}

/** Keys and values are views into the payload. @throws RangeError */
export function decodeEntries(payload: Buffer): Entry[] {
  const entries: Entry[] = []
  for (let at = 0; at < payload.length; ) {
    const valueAt = at + COMMIT_KEY_BYTES + 4
    const end = valueAt + payload.readUInt32BE(at + COMMIT_KEY_BYTES)
    if (end > payload.length) throw new RangeError('an entry runs past its frame')
    entries.push({ key: payload.subarray(at, at + COMMIT_KEY_BYTES), value: payload.subarray(valueAt, end) })
    at = end
  }
  return entries
}

function u32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeUInt32BE(value, 0)
  return bytes
}
