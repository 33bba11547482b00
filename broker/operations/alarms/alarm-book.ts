/** From what is found at each look to alarms that open late, and close late: pure but for the book it keeps. */
import type { Alarm, AlarmSeverity, Finding } from './alarm.ts'
import { brokerFindings } from './broker-rules.ts'
import { ALARMS } from './catalogue.ts'
import { certificateFindings } from './certificate-rules.ts'
import { logFindings } from './log-rules.ts'
import type { AlarmLook } from './look.ts'
import { syncFindings } from './sync-rules.ts'

/** Subjects are streams and upstreams, whose number the configuration limits; more than this are not told. */
const ALARMS_MAX = 500
const RANK: Readonly<Record<AlarmSeverity, number>> = { critical: 0, warning: 1, info: 2 }

interface Entry {
  finding: Finding
  /** ms since 1970, and by a clock that nobody sets: of the first look that found it. */
  readonly since: number
  readonly foundAt: number
  /** Of the last one. */
  seenAt: number
  isOpen: boolean
}

/** All that is wrong at one look. */
export function findings(look: AlarmLook): Finding[] {
  return [...logFindings(look), ...syncFindings(look), ...certificateFindings(look), ...brokerFindings(look)]
}

export class AlarmBook {
  readonly #entries = new Map<string, Entry>()

  isOpen(id: string, subject: string): boolean {
    return this.#entries.get(keyOf(id, subject))?.isOpen === true
  }

  /** @param at ms since 1970 @param monotonic ms, by a clock that nobody sets */
  take(found: readonly Finding[], at: number, monotonic: number): void {
    const seen = new Set<string>()
    for (const finding of found.slice(0, ALARMS_MAX)) {
      const key = keyOf(finding.id, finding.subject)
      seen.add(key)
      const entry = this.#entries.get(key) ?? {
        finding,
        since: at,
        foundAt: monotonic,
        seenAt: monotonic,
        isOpen: false,
      }
      entry.finding = finding
      entry.seenAt = monotonic
      entry.isOpen ||= monotonic - entry.foundAt >= ALARMS[finding.id].opensSeconds * 1000
      this.#entries.set(key, entry)
    }
    for (const [key, { finding, seenAt, isOpen }] of this.#entries) {
      if (seen.has(key)) continue
      // one that has not opened begins anew the next time
      const isOver = monotonic - seenAt >= ALARMS[finding.id].closesSeconds * 1000
      if (!isOpen || isOver) this.#entries.delete(key)
    }
  }

  /** The worst first, then the oldest. */
  open(): Alarm[] {
    return [...this.#entries.values()]
      .filter(({ isOpen }) => isOpen)
      .map(({ finding, since }) => ({ ...finding, since }))
      .sort((a, b) => RANK[a.severity] - RANK[b.severity] || a.since - b.since)
  }
}

function keyOf(id: string, subject: string): string {
  return `${id} ${subject}`
}
