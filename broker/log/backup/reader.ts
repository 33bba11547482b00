/**
 * Reads a backup (format.ts) item by item. What comes out is whole: bytes, order, counts and keys were checked, so that those who
 * use it have nothing left to doubt. Only the trailer says that it is all.
 */
import type { BackupDamagedError } from '../../errors.ts'
import { BackupForeignError } from '../../errors.ts'
import { DATA_FORMAT } from '../../storage/data-directory.ts'
import type { Entry } from '../../storage/store.ts'
import { commitOf } from '../commit-key.ts'
import { decodeNote, type Head } from '../note.ts'
import {
  type BackupHeader,
  type ChainBegin,
  type ChainEnd,
  decodeEntries,
  decodeFacts,
  type Fact,
  type SegmentBegin,
  type SegmentEnd,
} from './contents.ts'
import { type Frame, FrameKind, FrameReader, type FrameSums } from './format.ts'

export type BackupItem =
  | { readonly kind: 'header'; readonly header: BackupHeader }
  | { readonly kind: 'facts'; readonly facts: readonly Fact[] }
  | { readonly kind: 'chain-begin'; readonly begin: ChainBegin }
  | { readonly kind: 'segment-begin'; readonly begin: SegmentBegin }
  | { readonly kind: 'entries'; readonly entries: readonly Entry[] }
  | { readonly kind: 'segment-end'; readonly end: SegmentEnd }
  | { readonly kind: 'chain-end'; readonly end: ChainEnd; readonly head: Head }

/** Where the reading stands, by the kinds of frames that may follow. */
type Place = 'start' | 'facts' | 'between-chains' | 'chain' | 'segment' | 'chain-end'

/**
 * @param name of the file, for errors
 * @returns the items, up to and without the trailer: an end without an error is a whole backup
 * @throws BackupForeignError, BackupDamagedError, and what reading the pieces throws
 */
export async function* readBackup(
  pieces: AsyncIterable<Buffer>,
  name: string,
): AsyncGenerator<BackupItem, void, void> {
  const frames = new FrameReader(pieces, name)
  try {
    await frames.start()
    const order = new Order(frames, name)
    for (;;) {
      const sums = frames.sums
      const frame = await frames.next()
      if (frame.kind === FrameKind.trailer && order.isComplete) {
        checkTrailer(frames, order.json<FrameSums>(frame), sums)
        await frames.end()
        return
      }
      const item = order.item(frame)
      if (item !== null) yield item
    }
  } finally {
    await frames.close()
  }
}

function checkTrailer(frames: FrameReader, trailer: FrameSums, sums: FrameSums): void {
  const { frames: count, bytes, digest } = trailer
  if (count === sums.frames && bytes === sums.bytes && digest === sums.digest) return
  throw frames.damaged('the counts at its end are not those of what it holds')
}

class Order {
  readonly #frames: FrameReader
  readonly #name: string
  #place: Place = 'start'
  readonly #chains = new Set<string>()
  #segmentIds = new Set<string>()
  /** The end of the last segment of the chain, the begin of this one. */
  #lastCommit = 0
  #segment = { firstCommit: 0, entries: 0, bytes: 0 }
  #lastKey: Buffer = Buffer.alloc(0)
  #head: Head | null = null

  constructor(frames: FrameReader, name: string) {
    this.#frames = frames
    this.#name = name
  }

  get isComplete(): boolean {
    return this.#place === 'facts' || this.#place === 'between-chains'
  }

  json<T>({ payload }: Frame): T {
    try {
      return JSON.parse(payload.toString('utf8')) as T
    } catch {
      throw this.#damaged('a frame is not JSON')
    }
  }

  /** Checks the frame against what came before it. @returns null for a head, which comes with its chain's end. */
  item(frame: Frame): BackupItem | null {
    const { kind } = frame
    switch (this.#place) {
      case 'start':
        if (kind === FrameKind.header) return this.#header(frame)
        break
      case 'facts':
        if (kind === FrameKind.facts)
          return { kind: 'facts', facts: this.#decoded(() => decodeFacts(frame.payload)) }
        if (kind === FrameKind.chainBegin) return this.#chainBegin(frame)
        break
      case 'between-chains':
        if (kind === FrameKind.chainBegin) return this.#chainBegin(frame)
        break
      case 'chain':
        if (kind === FrameKind.segmentBegin) return this.#segmentBegin(frame)
        if (kind === FrameKind.head) return this.#readHead(frame)
        break
      case 'segment':
        if (kind === FrameKind.entries) return this.#entries(frame)
        if (kind === FrameKind.segmentEnd) return this.#segmentEnd(frame)
        break
      case 'chain-end':
        if (kind === FrameKind.chainEnd) return this.#chainEnd(frame)
        break
    }
    throw this.#damaged('a frame is out of order')
  }

  #header(frame: Frame): BackupItem {
    const header = this.json<BackupHeader>(frame)
    if (header.dataFormat > DATA_FORMAT) {
      throw new BackupForeignError(
        this.#name,
        `its data has format ${header.dataFormat}, this Headwater reads up to ${DATA_FORMAT}`,
        `use Headwater ${header.headwater}, which wrote it, or a newer one`,
      )
    }
    const isWhole = typeof header.edge === 'string' && typeof header.incarnation === 'string'
    if (!isWhole || !Array.isArray(header.streams) || !Array.isArray(header.chains)) {
      throw this.#damaged('its header lacks something')
    }
    this.#place = 'facts'
    return { kind: 'header', header }
  }

  #chainBegin(frame: Frame): BackupItem {
    const begin = this.json<ChainBegin>(frame)
    // it becomes a directory's name
    if (!/^[a-z][a-z0-9-]{0,31}$/.test(begin.name) || this.#chains.has(begin.name)) {
      throw this.#damaged(`a chain is named "${begin.name}"`)
    }
    this.#chains.add(begin.name)
    this.#segmentIds = new Set()
    this.#lastCommit = 0
    this.#place = 'chain'
    return { kind: 'chain-begin', begin }
  }

  #segmentBegin(frame: Frame): BackupItem {
    const begin = this.json<SegmentBegin>(frame)
    const { id, firstCommit } = begin
    if (!/^[0-9a-f]{8}$/.test(id) || this.#segmentIds.has(id))
      throw this.#damaged(`a segment is named "${id}"`)
    if (!Number.isSafeInteger(firstCommit) || firstCommit <= this.#lastCommit) {
      throw this.#damaged(`segment ${id} begins with commit ${firstCommit}`)
    }
    this.#segmentIds.add(id)
    this.#segment = { firstCommit, entries: 0, bytes: 0 }
    this.#lastKey = Buffer.alloc(0)
    this.#place = 'segment'
    return { kind: 'segment-begin', begin }
  }

  #entries(frame: Frame): BackupItem {
    const entries = this.#decoded(() => decodeEntries(frame.payload))
    for (const { key, value } of entries) {
      if (key.compare(this.#lastKey) <= 0) throw this.#damaged('its entries are not in order')
      if (commitOf(key) < this.#segment.firstCommit) throw this.#damaged('an entry is outside of its segment')
      this.#lastKey = key
      this.#segment.entries++
      this.#segment.bytes += key.length + value.length
    }
    return { kind: 'entries', entries }
  }

  #segmentEnd(frame: Frame): BackupItem {
    const end = this.json<SegmentEnd>(frame)
    const { firstCommit, entries, bytes } = this.#segment
    const last = this.#lastKey.length === 0 ? firstCommit : commitOf(this.#lastKey)
    if (!Number.isSafeInteger(end.lastCommit) || end.lastCommit < last) {
      throw this.#damaged(`a segment ends with commit ${end.lastCommit}`)
    }
    if (end.entries !== entries || end.bytes !== bytes)
      throw this.#damaged('the counts of a segment are wrong')
    this.#lastCommit = end.lastCommit
    this.#place = 'chain'
    return { kind: 'segment-end', end }
  }

  #readHead(frame: Frame): null {
    const note = decodeNote(frame.payload)
    if (typeof note === 'string' || note.head === undefined)
      throw this.#damaged('the head of a chain is not whole')
    this.#head = note.head
    this.#place = 'chain-end'
    return null
  }

  #chainEnd(frame: Frame): BackupItem {
    const end = this.json<ChainEnd>(frame)
    if (
      !Number.isSafeInteger(end.commit) ||
      end.commit < this.#lastCommit ||
      !Array.isArray(end.unreadable)
    ) {
      throw this.#damaged('the end of a chain is wrong')
    }
    this.#place = 'between-chains'
    return { kind: 'chain-end', end, head: this.#head! }
  }

  #decoded<T>(decode: () => T): T {
    try {
      return decode()
    } catch (error) {
      throw this.#damaged((error as Error).message)
    }
  }

  #damaged(reason: string): BackupDamagedError {
    return this.#frames.damaged(reason)
  }
}
