/** What devices were told against what is in the log. */
import { originOf } from './payload.ts'

export interface LogRecord {
  readonly topic: string
  readonly value: Buffer
}

export interface DeviceBook {
  readonly name: string
  readonly boots: number
  /** `boot/number`, in the order in which the device reported them. */
  readonly acknowledged: readonly string[]
  readonly refused: readonly string[]
  readonly clockErrorMs: number | null
}

export interface Verdict {
  /** Records by device. */
  readonly records: ReadonlyMap<string, number>
  readonly problems: readonly string[]
}

const NAMED_MAX = 5
/** A report of the time is cut to 1.024 s and takes its way. */
const CLOCK_MS_MAX = 10_000

export function judge(books: readonly DeviceBook[], records: readonly LogRecord[]): Verdict {
  const problems: string[] = []
  const found = new Map<string, string[]>(books.map(({ name }) => [name, []]))
  for (const { topic, value } of records) {
    const origin = originOf(topic, value)
    const list = origin && found.get(origin.device)
    if (list) list.push(`${origin.boot}/${origin.number}`)
    else problems.push(`a record that no device made, on ${topic}: ${value.toString('latin1').slice(0, 40)}`)
  }
  for (const book of books) problems.push(...judgeDevice(book, found.get(book.name)!))
  const counts = new Map([...found].map(([name, list]) => [name, list.length]))
  return { records: counts, problems }
}

function judgeDevice(book: DeviceBook, found: readonly string[]): string[] {
  const problems: string[] = []
  const tell = (what: string, which: readonly string[]) => {
    if (which.length === 0) return
    const named = which.slice(0, NAMED_MAX).join(', ')
    problems.push(`${book.name}: ${which.length} ${what}: ${named}${which.length > NAMED_MAX ? ', ...' : ''}`)
  }
  const present = new Set(found)
  tell(
    'acknowledged and not in the log',
    book.acknowledged.filter((each) => !present.has(each)),
  )
  const once = new Set<string>()
  tell(
    'more than once in the log',
    found.filter((each) => once.size === once.add(each).size),
  )
  tell(
    'out of order',
    found.filter((each, i) => i > 0 && isBefore(each, found[i - 1]!)),
  )
  tell('refused', book.refused)
  if (book.clockErrorMs !== null && book.clockErrorMs > CLOCK_MS_MAX)
    problems.push(`${book.name}: its clock was wrong by ${book.clockErrorMs} ms`)
  // in flight when the device was reset: one a boot, the last of its boot
  const known = new Set(book.acknowledged)
  const others = [...present].filter((each) => !known.has(each))
  const perBoot = others.map((each) => each.split('/')[0]!)
  tell(
    'in the log of which the device knows nothing',
    others.filter((_, i) => perBoot.indexOf(perBoot[i]!) !== i),
  )
  return problems
}

function isBefore(one: string, other: string): boolean {
  const [bootOne, numberOne] = one.split('/').map(Number)
  const [bootOther, numberOther] = other.split('/').map(Number)
  return bootOne === bootOther ? numberOne! < numberOther! : bootOne! < bootOther!
}
