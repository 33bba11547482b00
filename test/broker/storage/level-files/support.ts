/** Real LevelDB stores of several shapes, ways to damage them, and a process in which LevelDB may end over them. */
import { type ChildProcess, fork } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { crc32c } from '../../../../broker/storage/crc32c.ts'
import { readLayout } from '../../../../broker/storage/level-files/layout.ts'
import { nodeDisk } from '../../../../broker/storage/node-disk.ts'
import type { Store } from '../../../../broker/storage/store.ts'
import type { Opened } from '../../../support/level-child.ts'
import type { Random } from '../../../support/random.ts'

export type Files = ReadonlyMap<string, Buffer>

export interface Source {
  readonly name: string
  readonly files: Files
  /** By key in hex: the value that it has. */
  readonly truth: ReadonlyMap<string, Buffer>
  /** By key in hex: every value that it ever had, null where it was deleted. */
  readonly history: ReadonlyMap<string, readonly (Buffer | null)[]>
  /** Every key was written once and never deleted, as in the log. */
  readonly isWrittenOnce: boolean
}

const roots: string[] = []

export function temporaryDirectory(): string {
  const root = mkdtempSync(join(tmpdir(), 'headwater-level-'))
  roots.push(root)
  return root
}

export function removeTemporaryDirectories(): void {
  for (const root of roots.splice(0)) rmSync(root, { recursive: true, force: true })
}

/** All of one moment: LevelDB, where it has the store open, may remove a file while others are read. */
export function readFiles(directory: string): Map<string, Buffer> {
  for (;;) {
    try {
      const names = readdirSync(directory).filter((name) => name !== 'LOCK')
      return new Map(names.map((name) => [name, readFileSync(join(directory, name))]))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
}

/** Writes a store's files to a new directory. */
export function place(root: string, name: string, files: Files): string {
  const directory = join(root, name)
  rmSync(directory, { recursive: true, force: true })
  mkdirSync(directory)
  for (const [file, bytes] of files) writeFileSync(join(directory, file), bytes)
  return directory
}

/** A value that says of itself, with its key, whether it is whole: as a batch of the log does. */
export function sealedValue(key: Buffer, random: Random, bytes: number): Buffer {
  const value = Buffer.alloc(4 + bytes)
  for (let i = 4; i < value.length; i++) value[i] = random.between(0, 255)
  value.writeUInt32LE(crc32c(Buffer.concat([key, value.subarray(4)])))
  return value
}

export function isSealed(key: Buffer, value: Buffer | undefined): boolean {
  if (value === undefined || value.length < 4) return false
  return crc32c(Buffer.concat([key, value.subarray(4)])) === value.readUInt32LE(0)
}

/** A store under way, which remembers what it was given. */
export class Writer {
  readonly directory: string
  readonly history = new Map<string, (Buffer | null)[]>()
  readonly #bufferBytes: number
  #store!: Store

  constructor(directory: string, bufferBytes = 64 * 1024) {
    this.directory = directory
    this.#bufferBytes = bufferBytes
  }

  async open(): Promise<this> {
    const options = { writeBufferBytes: this.#bufferBytes, createIfMissing: true }
    this.#store = await nodeDisk.openStore(this.directory, options)
    return this
  }

  async write(changes: readonly (readonly [Buffer, Buffer | null])[]): Promise<void> {
    const batch = this.#store.batch()
    for (const [key, value] of changes) {
      if (value === null) batch.delete(key)
      else batch.put(key, value)
      const hex = key.toString('hex')
      this.history.set(hex, [...(this.history.get(hex) ?? []), value])
    }
    await batch.write({ sync: true })
  }

  async reopen(): Promise<void> {
    await this.close()
    await this.open()
  }

  /** Once LevelDB has written its tables: closed before, it leaves half of one. */
  async close(): Promise<void> {
    const until = performance.now() + 20_000
    for (;;) {
      const { tables, logs, version } = await readLayout(nodeDisk, this.directory)
      const live = new Set(version?.live.map(({ number }) => number))
      if (logs.length === 1 && tables.every(({ number }) => live.has(number))) break
      if (performance.now() > until) throw new Error('LevelDB does not come to rest')
      await setTimeout(5)
    }
    await this.#store.close()
  }

  source(name: string, files: Files = readFiles(this.directory)): Source {
    const truth = new Map<string, Buffer>()
    for (const [key, values] of this.history) {
      const last = values.at(-1)!
      if (last !== null) truth.set(key, last)
    }
    const isWrittenOnce = [...this.history.values()].every(
      (values) => values.length === 1 && values[0] !== null,
    )
    return { name, files, truth, history: new Map(this.history), isWrittenOnce }
  }
}

/** Keys as the log's: commit, partition. */
export function logKey(commit: number, id: number): Buffer {
  const key = Buffer.alloc(12)
  key.writeBigUInt64BE(BigInt(commit))
  key.writeUInt32BE(id, 8)
  return key
}

interface Shape {
  readonly commits: number
  readonly perCommit: number
  readonly valueBytes: readonly [number, number]
  readonly bufferBytes?: number
}

/** A store with keys as in the log: each written once, each after all before it. */
export async function logSource(root: string, name: string, random: Random, shape: Shape): Promise<Source> {
  const writer = await new Writer(join(root, `source-${name}`), shape.bufferBytes).open()
  for (let commit = 1; commit <= shape.commits; commit++) {
    const changes: [Buffer, Buffer][] = []
    for (let id = 0; id < random.between(1, shape.perCommit); id++) {
      const key = logKey(commit, id)
      changes.push([key, sealedValue(key, random, random.between(...shape.valueBytes))])
    }
    await writer.write(changes)
    if (commit === Math.floor(shape.commits / 2)) await writer.reopen()
  }
  await writer.close()
  return writer.source(name)
}

/** A store whose keys are overwritten and deleted all the time. */
export async function factSource(
  root: string,
  name: string,
  random: Random,
  operations: number,
): Promise<Source> {
  const writer = await new Writer(join(root, `source-${name}`)).open()
  for (let i = 0; i < operations; i++) {
    const changes: [Buffer, Buffer | null][] = []
    for (let n = 0; n < random.between(1, 8); n++) {
      const key = Buffer.from(`fact/${random.between(0, 150)}${'x'.repeat(random.between(0, 2))}`)
      const isDeletion = random.next() < 0.3
      changes.push([key, isDeletion ? null : sealedValue(key, random, random.between(0, 300))])
    }
    await writer.write(changes)
    if (i === Math.floor(operations / 2)) await writer.reopen()
  }
  await writer.close()
  return writer.source(name)
}

export interface DamageStep {
  readonly file: string
  /** In words. */
  readonly what: string
}

export interface Damage {
  readonly files: Map<string, Buffer>
  readonly steps: readonly DamageStep[]
}

/** Damages a store in one to three places. */
export function damage(files: Files, random: Random): Damage {
  const damaged = new Map(files)
  const steps: DamageStep[] = []
  const count = random.between(1, 3)
  for (let i = 0; i < count; i++) steps.push(damageOnce(damaged, random))
  return { files: damaged, steps }
}

function damageOnce(files: Map<string, Buffer>, random: Random): DamageStep {
  const names = [...files.keys()].filter((name) => !name.startsWith('LOG'))
  if (names.length === 0) return { file: '', what: 'nothing is left' }
  const kinds = ['.ldb', '.log', 'MANIFEST', 'CURRENT']
  const kind = kinds[[0, 0, 0, 0, 0, 1, 1, 2, 2, 3][random.between(0, 9)]!]!
  const ofKind = names.filter((name) => name.includes(kind))
  const name = pick(ofKind.length > 0 ? ofKind : names, random)
  const bytes = Buffer.from(files.get(name)!)
  const way = pick(WAYS, random)
  const result = way(bytes, random, files)
  if (result === null) files.delete(name)
  else files.set(name, result.bytes)
  return { file: name, what: result === null ? 'removed' : `of ${bytes.length}: ${result.step}` }
}

export function pick<T>(from: readonly T[], random: Random): T {
  return from[random.between(0, from.length - 1)]!
}

type Way = (
  bytes: Buffer,
  random: Random,
  files: Map<string, Buffer>,
) => { bytes: Buffer; step: string } | null

/** A place in a file: anywhere, near its end where tables have their structure, or near its beginning. */
function placeIn(bytes: Buffer, random: Random): number {
  const length = Math.max(1, bytes.length)
  const reach = Math.min(length, pick([48, 200, 2000, length, length, length], random))
  return random.next() < 0.8 ? length - random.between(1, reach) : random.between(0, reach - 1)
}

function overwrite(bytes: Buffer, at: number, length: number, fill: (i: number) => number): void {
  for (let i = at; i < Math.min(bytes.length, at + length); i++) bytes[i] = fill(i)
}

const flip: Way = (bytes, random) => {
  const places = Array.from({ length: pick([1, 1, 1, 2, 8], random) }, () => placeIn(bytes, random))
  for (const at of places) if (at < bytes.length) bytes[at]! ^= 1 << random.between(0, 7)
  return { bytes, step: `bits flipped at ${places}` }
}

const flipByte: Way = (bytes, random) => {
  const at = placeIn(bytes, random)
  const value = pick([0, 0xff, 0x80, random.between(0, 255)], random)
  overwrite(bytes, at, 1, () => value)
  return { bytes, step: `byte ${at} made ${value}` }
}

const zero: Way = (bytes, random) => {
  const unit = pick([1, 512, 4096], random)
  const at = placeIn(bytes, random)
  const from = at - (at % unit)
  const length = unit === 1 ? random.between(1, 300) : unit * random.between(1, 3)
  overwrite(bytes, from, length, () => 0)
  return { bytes, step: `${length} zeros at ${from}` }
}

const scramble: Way = (bytes, random) => {
  const at = placeIn(bytes, random)
  const length = pick([4, 64, 512, 4096], random)
  overwrite(bytes, at, length, () => random.between(0, 255))
  return { bytes, step: `${length} bytes at random from ${at}` }
}

const truncate: Way = (bytes, random) => {
  const length = Math.min(bytes.length, placeIn(bytes, random))
  return { bytes: bytes.subarray(0, length), step: `cut to ${length}` }
}

const lengthen: Way = (bytes, random) => {
  const fill = pick([0, 0, random.between(1, 255)], random)
  const more = pick([1, 7, 100, 4096, 40_000], random)
  return { bytes: Buffer.concat([bytes, Buffer.alloc(more, fill)]), step: `${more} bytes of ${fill} added` }
}

/** A write that went to the wrong place: pages of this file, or of another one. */
const misplace: Way = (bytes, random, files) => {
  const from = random.next() < 0.5 ? bytes : pick([...files.values()], random)
  const unit = pick([512, 4096, 32_768], random)
  const pagesOf = (buffer: Buffer) => Math.max(0, Math.ceil(buffer.length / unit) - 1)
  const source = unit * random.between(0, pagesOf(from))
  const target = unit * random.between(0, pagesOf(bytes))
  Buffer.from(from.subarray(source, source + unit)).copy(bytes, target)
  return { bytes, step: `${unit} bytes from ${source} written at ${target}` }
}

const remove: Way = () => null

const WAYS: readonly Way[] = [
  flip,
  flip,
  flip,
  flipByte,
  flipByte,
  zero,
  zero,
  scramble,
  truncate,
  lengthen,
  misplace,
  remove,
]

const CHILD = fileURLToPath(new URL('../../../../dist/test/support/level-child.js', import.meta.url))

export type Outcome =
  | { readonly kind: 'opened'; readonly opened: Opened }
  /** It ended without an answer: an assertion, or a read outside of memory. */
  | { readonly kind: 'ended'; readonly by: string }
  | { readonly kind: 'hung' }

/** Opens stores in a child process, the next one in the same where it survives. */
export class LevelJudge {
  #child: ChildProcess | null = null

  async open(directory: string, limitMs = 60_000): Promise<Outcome> {
    const child = this.#child ?? fork(CHILD, { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] })
    this.#child = child
    return new Promise<Outcome>((resolve) => {
      const done = (outcome: Outcome) => {
        clearTimeout(timer)
        child.off('exit', ended)
        child.off('message', answered)
        if (outcome.kind !== 'opened') this.#child = null
        resolve(outcome)
      }
      const ended = (code: number | null, signal: string | null) =>
        done({ kind: 'ended', by: signal ?? `code ${code}` })
      const answered = (opened: unknown) => done({ kind: 'opened', opened: opened as Opened })
      const timer = globalThis.setTimeout(() => {
        child.kill('SIGKILL')
        done({ kind: 'hung' })
      }, limitMs)
      child.on('exit', ended)
      child.on('message', answered)
      child.send({ directory })
    })
  }

  close(): void {
    this.#child?.disconnect()
    this.#child = null
  }
}

/** A store beside which files are left that its compactions had replaced: as when the power fails before they are removed. */
export async function leftBehindSource(root: string, name: string, random: Random): Promise<Source> {
  const writer = await new Writer(join(root, `source-${name}`)).open()
  const earlier: Map<string, Buffer>[] = []
  for (let i = 0; i < 600; i++) {
    const changes: [Buffer, Buffer | null][] = []
    for (let n = 0; n < 4; n++) {
      const key = Buffer.from(`fact/${random.between(0, 60)}`)
      changes.push([key, random.next() < 0.4 ? null : sealedValue(key, random, random.between(0, 200))])
    }
    await writer.write(changes)
    if (i % 100 !== 50) continue
    await writer.reopen()
    earlier.push(readFiles(writer.directory))
  }
  await writer.close()
  const files = readFiles(writer.directory)
  for (const left of earlier)
    for (const [file, bytes] of left) if (!files.has(file) && random.next() < 0.5) files.set(file, bytes)
  return writer.source(name, files)
}
