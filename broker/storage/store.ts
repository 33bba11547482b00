/**
 * What the log asks of the disk, as two small interfaces: an ordered key-value store and the few file operations that
 * replace a manifest. Everything the broker keeps goes through them, so that a test can hand in a disk that delays,
 * fails, tears or forgets.
 */

export interface Entry {
  readonly key: Buffer
  readonly value: Buffer
}

export interface RangeOptions {
  /** First key, inclusive. */
  readonly from: Buffer
  /** Last key, exclusive. */
  readonly to: Buffer
  /** Stop after the entry with which this many bytes of keys and values are reached. */
  readonly bytesMax: number
}

/** Entries in key order of the moment at which it was begun, however long it takes. */
export interface StoreScan {
  /** The next entries, up to the one with which this many bytes are reached; none at the end. */
  next(bytesMax: number): Promise<Entry[]>
  /** A store keeps what was replaced since for as long as its scans are open. */
  close(): Promise<void>
}

export interface WriteBatch {
  /** Copies key and value: the caller may use their buffers again at once. */
  put(key: Buffer, value: Buffer): void
  delete(key: Buffer): void
  /**
   * All or nothing. Resolves once the entries are fsynced (`sync`) or handed to the operating system.
   * After a rejection the store is not to be written again before it was closed and opened: whether the
   * entries are there is known only then.
   */
  write(options: { sync: boolean }): Promise<void>
}

export interface Store {
  batch(): WriteBatch
  get(key: Buffer): Promise<Buffer | undefined>
  getMany(keys: Buffer[]): Promise<(Buffer | undefined)[]>
  /** Entries in key order, of a consistent snapshot. */
  range(options: RangeOptions): Promise<Entry[]>
  /** All entries from a key, inclusive, to another, exclusive, as they are at this call. */
  scan(from: Buffer, to: Buffer): StoreScan
  close(): Promise<void>
}

export interface StoreOptions {
  /** Bytes collected in memory before a table is written: LevelDB's write buffer. */
  readonly writeBufferBytes: number
  readonly createIfMissing: boolean
  /** Snappy, block by block: where bytes written count more than processor time. Default false. */
  readonly isCompressed?: boolean
  /** The size of LevelDB's files, and so of one step of its merging. Default 2 MiB. */
  readonly fileBytes?: number
}

/** A file open for reading. */
export interface OpenFile {
  /** Bytes that it had when it was opened. */
  readonly size: number
  /**
   * A copy of the bytes from `offset` on; fewer where the file ends before.
   * @param into of this length or more: it is used again, where a new buffer for each read would be much to collect
   */
  read(offset: number, length: number, into?: Buffer): Promise<Buffer>
  close(): Promise<void>
}

/** A file that is written piece by piece and stands nowhere until it is whole. */
export interface NewFile {
  /** Resolves once the piece is taken: the disk sets the pace. */
  write(bytes: Uint8Array): Promise<void>
  /** Puts it in its place, on disk: a power cut leaves the old file or this one. */
  commit(): Promise<void>
  /** Removes what was written. */
  discard(): Promise<void>
}

export interface Disk {
  /** True where a store's directory holds LevelDB's files, which level-files/ can judge and read. */
  readonly hasLevelFiles: boolean
  /** @throws DataDirectoryLockedError where another process has the store open. */
  openStore(directory: string, options: StoreOptions): Promise<Store>
  /**
   * True where a store is open, in whatever process: asked without opening it. Its answer is of this moment. An exact one where it is not
   * open may touch LevelDB's LOG, nothing else. False where there is none.
   */
  isStoreLocked(directory: string): Promise<boolean>
  /** @throws EACCES, EROFS… where this user may not read and write what is at `path` */
  checkAccess(path: string): Promise<void>
  /** undefined where there is no such file. */
  readFile(path: string): Promise<Buffer | undefined>
  /** For files of which a part is wanted, or that do not fit into memory; undefined where there is no such file. */
  openFile(path: string): Promise<OpenFile | undefined>
  /** Replaces a file so that a power cut leaves the old or the new one: temp, fsync, rename, fsync of the directory. */
  replaceFile(path: string, bytes: Uint8Array): Promise<void>
  /**
   * Gives a file or a directory another name on the same file system, durable in both parents. A power cut leaves it under the old
   * name or the new one. @throws where the new name is taken (EEXIST)
   */
  move(from: string, to: string): Promise<void>
  /** The same for a file that is too large for one piece. What is written is `PATH.partial` until it is whole. */
  newFile(path: string): Promise<NewFile>
  /** Makes the directory and its parents, durable in their parent. */
  makeDirectory(path: string): Promise<void>
  /**
   * Makes durable which names the directory has. What a start reads may be a rename that the last process did not live to
   * sync: nothing may be acknowledged on top of it before this.
   */
  syncDirectory(path: string): Promise<void>
  /** Names in a directory; empty where there is none. */
  list(path: string): Promise<string[]>
  /**
   * Makes durable all that was ever written to a store, which must be closed: for stores that are filled without an fsync and
   * then never written again. Bytes are not written twice for it.
   */
  settleStore(directory: string, options: StoreOptions): Promise<void>
  /** Bytes of all files in a directory; 0 where there is none. */
  usage(path: string): Promise<number>
  /** Bytes that this user can still write where `path` is, and all there are; null where that is not known. */
  space(path: string): Promise<{ readonly freeBytes: number; readonly totalBytes: number } | null>
  /** Removes a file or a directory with all that is in it; nothing happens where there is none. */
  remove(path: string): Promise<void>
}
