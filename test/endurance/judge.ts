/** What the log must hold of the honest clients, and what RSS may do. */
import { slope } from '../bench/statistics.ts'
import type { HonestClients } from './honest.ts'
import type { StoredMessage } from './target.ts'

const PROBLEMS_MAX = 10

/** @param eachStored hands over what the log has, in the order of each topic */
export async function logProblems(
  books: ReturnType<HonestClients['books']>,
  eachStored: (take: (message: StoredMessage) => void) => Promise<void>,
): Promise<{ readonly stored: number; readonly problems: string[] }> {
  const problems: string[] = []
  const seen = new Map([...books.keys()].map((topic) => [topic, new Set<number>()]))
  const last = new Map<string, number>()
  let stored = 0
  await eachStored(({ topic, value }) => {
    stored++
    const n = Number(value)
    const numbers = seen.get(topic)
    if (numbers === undefined || !(n >= 0 && n < books.get(topic)!.sent)) {
      problems.push(`${topic} ${value} is in the log, and no honest client sent it`)
      return
    }
    if (numbers.has(n)) problems.push(`${topic} ${n} is in the log twice`)
    else if (n <= (last.get(topic) ?? -1)) problems.push(`${topic} ${n} is in the log out of order`)
    numbers.add(n)
    last.set(topic, n)
  })
  for (const [topic, { acknowledged }] of books) {
    const missing = [...acknowledged].filter((n) => !seen.get(topic)!.has(n))
    if (missing.length > 0)
      problems.push(`${topic}: ${missing.length} acknowledged are not in the log, the first is ${missing[0]}`)
  }
  return { stored, problems: problems.slice(0, PROBLEMS_MAX) }
}

export interface Sample {
  /** Since the beginning. */
  readonly seconds: number
  readonly rssBytes: number
  /** Of it, what is no mapped file: LevelDB maps the tables it reads. */
  readonly anonBytes: number
}

/**
 * How memory goes on after the warm-up, by the straight line through the samples (least squares): an hour, and over the time that was looked at. A short run
 * cannot say much about an hour: what is judged is the growth over its own time.
 */
export function growthOf(
  samples: readonly { readonly seconds: number; readonly bytes: number }[],
  warmSeconds: number,
) {
  const warm = samples.filter(({ seconds }) => seconds >= warmSeconds)
  if (warm.length < 2) return { bytesPerHour: Number.NaN, bytes: Number.NaN }
  const perSecond = slope(warm.map(({ seconds, bytes }) => ({ x: seconds, y: bytes })))
  const span = warm.at(-1)!.seconds - warm[0]!.seconds
  return { bytesPerHour: perSecond * 3600, bytes: perSecond * span }
}
