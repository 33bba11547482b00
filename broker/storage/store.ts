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
  close(): Promise<void>
}

export interface StoreOptions {
  /** Bytes collected in memory before a table is written: LevelDB's write buffer. */
  readonly writeBufferBytes: number
  readonly createIfMissing: boolean
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

export interface Disk {
  /** True where a store's directory holds LevelDB's files, which level-files/ can judge and read. */
  readonly hasLevelFiles: boolean
  /** @throws DataDirectoryLockedError where another process has the store open. */
  openStore(directory: string, options: StoreOptions): Promise<Store>
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
