/**
 * Where damaged files go: out of the way, so that the broker starts, and kept, so that somebody can look.
 *
 *   quarantine/00000007-3/          made for the third thing that was ever put there
 *     why.json                      { "what", "when", "from", "findings", "lost" }; keys in hex
 *     00000007/                     what was moved, as it was
 *
 * The number is given once for all names: the lowest is the oldest, whatever the clock said. The whole is bounded: the oldest goes first.
 */
import { basename, join } from 'node:path'
import { assert } from '../assert.ts'
import type { LogSink } from '../log-sink.ts'
import type { Finding } from './level-files/findings.ts'
import type { LostRange } from './level-files/salvage-report.ts'
import type { Disk } from './store.ts'

export const WHY_FILE = 'why.json'

export interface QuarantineLimits {
  /** Of all that is kept. What is larger by itself is not kept. */
  readonly bytesMax: number
  readonly countMax: number
}

/** Eight segments of the default size. */
const QUARANTINE_LIMITS: QuarantineLimits = { bytesMax: 256 * 1024 * 1024, countMax: 64 }

export interface Why {
  /** In a few words, for a person. */
  readonly what: string
  readonly findings?: readonly Finding[]
  readonly lost?: readonly LostRange[]
}

export interface Removed {
  readonly name: string
  readonly bytes: number
}

export interface Quarantined {
  /** The directory that holds what was moved, and `why.json`. */
  readonly directory: string
  readonly bytes: number
  /** What had to go to make room, oldest first; this one too where it alone is over the limit. */
  readonly removed: readonly Removed[]
}

interface Kept {
  readonly name: string
  readonly number: number
}

/**
 * Moves a file or a directory to the quarantine. A power cut leaves it where it was or where it goes; in between at most a directory with
 * `why.json` alone, which the next `trimQuarantine` removes.
 * @param path of a store that is not open
 * @param root the quarantine's directory, on the same file system; it is made where it is not there
 * @param now wall time; it is noted, nothing hangs on it
 */
export async function quarantine(
  disk: Disk,
  path: string,
  root: string,
  why: Why,
  log: LogSink,
  limits: QuarantineLimits = QUARANTINE_LIMITS,
  now: () => Date = () => new Date(),
): Promise<Quarantined> {
  const name = basename(path)
  assert(name !== WHY_FILE, 'why.json stands beside what is put into quarantine')
  await disk.makeDirectory(root)
  const number = 1 + Math.max(0, ...(await listKept(disk, root)).map((kept) => kept.number))
  const directory = join(root, `${name}-${number}`)
  await disk.makeDirectory(directory)
  await disk.replaceFile(join(directory, WHY_FILE), whyFile(path, why, now()))
  await disk.move(path, join(directory, name))
  const bytes = await disk.usage(directory)
  log.warn('moved to quarantine', { from: path, to: directory, bytes, reason: why.what })
  return { directory, bytes, removed: await trimQuarantine(disk, root, log, limits) }
}

/** Removes what is over the limits, the oldest first, and what holds nothing. At each start, and after each addition. */
export async function trimQuarantine(
  disk: Disk,
  root: string,
  log: LogSink,
  limits: QuarantineLimits = QUARANTINE_LIMITS,
): Promise<Removed[]> {
  const removed: Removed[] = []
  let [bytesKept, countKept] = [0, 0]
  let isFull = false
  // newest first: those that fit stay
  for (const { name } of (await listKept(disk, root)).toReversed()) {
    const directory = join(root, name)
    const isEmpty = (await disk.list(directory)).every((file) => file === WHY_FILE)
    const bytes = await disk.usage(directory)
    const isTooLarge = bytes > limits.bytesMax
    isFull ||=
      !isEmpty && !isTooLarge && (bytesKept + bytes > limits.bytesMax || countKept >= limits.countMax)
    if (!isEmpty && !isTooLarge && !isFull) {
      bytesKept += bytes
      countKept++
      continue
    }
    await disk.remove(directory)
    if (isEmpty) continue
    removed.unshift({ name, bytes })
    log.warn('removed from quarantine: it is full', { name, bytes, ...limits })
  }
  return removed
}

/** Oldest first. Names of another form are not ours, and stay. */
async function listKept(disk: Disk, root: string): Promise<Kept[]> {
  const kept: Kept[] = []
  for (const name of await disk.list(root)) {
    const number = /-([1-9]\d{0,14})$/.exec(name)?.[1]
    if (number !== undefined) kept.push({ name, number: Number(number) })
  }
  return kept.toSorted((a, b) => a.number - b.number)
}

function whyFile(from: string, { what, findings = [], lost = [] }: Why, when: Date): Buffer {
  const text = {
    what,
    when: when.toISOString(),
    from,
    findings: findings.map(withHex),
    lost: lost.map(withHex),
  }
  return Buffer.from(`${JSON.stringify(text, null, 2)}\n`)
}

/** Keys are bytes: in JSON they are hex. */
function withHex(value: object): object {
  return Object.fromEntries(
    Object.entries(value).map(([name, field]) => {
      if (Buffer.isBuffer(field)) return [name, field.toString('hex')]
      return [name, name === 'keys' ? withHex(field as object) : field]
    }),
  )
}
