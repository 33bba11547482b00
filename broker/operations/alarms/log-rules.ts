/** Of the log, its disk, its tables. */
import { quantileOf } from '../../log/commit-latency.ts'
import { printable } from '../terminal/printable.ts'
import { bytes, duration, milliseconds, plural } from '../terminal/units.ts'
import type { Finding } from './alarm.ts'
import type { AlarmLook } from './look.ts'

/** Commits of the last minute have taken longer. */
const SLOW_MS = 1000
const SLOW_CLOSES_MS = 500
/** Free bytes, in reserves. */
const NEARLY_FULL = 2
const NEARLY_FULL_CLOSES = 2.5
const YEAR_SECONDS = 31_557_600
const LIFE_YEARS_MIN = 2
const LIFE_YEARS_CLOSES = 2.4

export function logFindings(look: AlarmLook): Finding[] {
  return [
    ...failed(look),
    ...space(look),
    ...commits(look),
    ...damaged(look),
    ...dropped(look),
    ...tables(look),
    ...fileSystem(look),
    ...cardLife(look),
  ]
}

function failed({ broker: { log, mqtt } }: AlarmLook): Finding[] {
  const found: Finding[] = []
  if (log.condition !== 'open') {
    const summary = `the log takes no records: ${log.reason ?? log.condition}`
    const hint = 'see that the disk is there and can be written; the broker tries again by itself'
    found.push({ id: 'log-failed', severity: 'critical', subject: 'log', summary, hint })
  }
  const { failure } = mqtt.sessions
  if (failure !== null) {
    const summary = `the state of sessions cannot be written: ${failure}`
    const hint = 'see that the disk is there and can be written; the broker tries again by itself'
    found.push({ id: 'sessions-unwritable', severity: 'critical', subject: 'broker', summary, hint })
  }
  return found
}

function space({ broker, upstreams, isOpen }: AlarmLook): Finding[] {
  const { isFull, freeBytes, reserveBytes } = broker.log.space
  if (isFull) {
    const summary = 'nothing new is taken: there is no room on the disk'
    const hint = 'let upstream catch up, raise log.disk, free some of the disk, or let a stream drop-oldest'
    return [{ id: 'disk-full', severity: 'critical', subject: 'disk', summary, hint }]
  }
  const factor = isOpen('disk-nearly-full', 'disk') ? NEARLY_FULL_CLOSES : NEARLY_FULL
  if (freeBytes === null || freeBytes >= reserveBytes * factor) return []
  // what every upstream has makes room by itself
  const isBehind = upstreams.some(({ lagSecondsOldest }) => (lagSecondsOldest ?? 0) > 600)
  return [
    {
      id: 'disk-nearly-full',
      severity: isBehind ? 'warning' : 'info',
      subject: 'disk',
      summary: `${bytes(freeBytes)} are free, and ${bytes(reserveBytes)} of them are kept in reserve`,
      hint: 'oldest records that upstream has go first; give streams a retention, or the log a larger disk',
    },
  ]
}

function commits({ recent, isOpen }: AlarmLook): Finding[] {
  const found: Finding[] = []
  const failures = recent.growth(({ failedCommits }) => failedCommits)
  if (failures > 0) {
    const summary = `${plural(failures, 'commit')} did not reach the disk in the last ten minutes`
    const hint =
      'clients send again what was not acknowledged; look into the kernel log for the disk, and replace it'
    found.push({ id: 'commits-failing', severity: 'critical', subject: 'log', summary, hint })
  }
  const p99 = quantileOf(recent.commits(), 0.99)
  if (p99 > (isOpen('commits-slow', 'log') ? SLOW_CLOSES_MS : SLOW_MS)) {
    const time = Number.isFinite(p99) ? milliseconds(p99) : 'more than a minute'
    const summary = `one commit in a hundred takes ${time}: acknowledgements wait for the disk`
    const hint = 'see what else writes to it; a card that is worn out gets slow before it fails'
    found.push({ id: 'commits-slow', severity: 'warning', subject: 'log', summary, hint })
  }
  return found
}

/** What was lost stays until an operator acknowledges it; damage that took nothing goes with the next start. */
function damaged({ broker: { damage } }: AlarmLook): Finding[] {
  const { lostOffsets, salvagedSegments, faults, factsDamaged } = damage
  const since = [
    ...(salvagedSegments > 0 ? [`${plural(salvagedSegments, 'damaged segment')} in quarantine`] : []),
    ...(faults > 0 ? [plural(faults, 'fault')] : []),
    ...(factsDamaged > 0 ? [plural(factsDamaged, 'damaged fact')] : []),
  ]
  const parts = [
    // a damaged end leaves a gap of offsets that were never given to a record, too
    ...(lostOffsets > 0 ? [`at most ${plural(lostOffsets, 'record')} lost`] : []),
    ...(since.length > 0 ? [`since the start: ${since.join(', ')}`] : []),
  ]
  if (parts.length === 0) return []
  const summary = parts.join('; ')
  const hint =
    'headwater log verify shows where; check the disk, restore what upstream does not have from a backup, then headwater log acknowledge'
  return [{ id: 'log-damaged', severity: 'warning', subject: 'log', summary, hint }]
}

function dropped({ streams, recent }: AlarmLook): Finding[] {
  return streams.flatMap(({ stream, droppedRecords }): Finding[] => {
    const grown = recent.growth(({ unsyncedDropped }) => unsyncedDropped[stream] ?? droppedRecords)
    if (grown <= 0) return []
    const records = plural(grown, 'record')
    return [
      {
        id: 'unsynced-dropped',
        severity: 'warning',
        subject: stream,
        summary: `${records} of ${printable(stream)} went in the last ten minutes before every upstream had them`,
        hint: 'its retention says drop-oldest: bring upstream back, or give the log more room',
      },
    ]
  })
}

function tables({ streams }: AlarmLook): Finding[] {
  return streams.flatMap(({ stream, table }): Finding[] =>
    table?.state !== 'failed'
      ? []
      : [
          {
            id: 'table-failed',
            severity: 'warning',
            subject: stream,
            summary: `the table of ${printable(stream)} cannot be read: ${table.reason ?? 'no reason given'}`,
            hint: 'the log has all of it; the table is built again by itself once the disk allows',
          },
        ],
  )
}

function fileSystem({ broker: { fileSystem: found } }: AlarmLook): Finding[] {
  if (found.warning === null) return []
  // what is wrong, then " - " and the way out
  const [summary, ...ways] = printable(found.warning).split(' - ')
  const hint =
    ways.join(' - ') ||
    'put the data directory on ext4 or another file system of its own, on a disk of this machine'
  return [
    {
      id: 'file-system-unsafe',
      severity: 'warning',
      subject: 'disk',
      summary: summary!,
      hint,
    },
  ]
}

function cardLife({ wear: { lifeSeconds }, isOpen }: AlarmLook): Finding[] {
  const years = isOpen('card-life-short', 'disk') ? LIFE_YEARS_CLOSES : LIFE_YEARS_MIN
  if (lifeSeconds === null || lifeSeconds >= years * YEAR_SECONDS) return []
  const summary = `a new card lasts ${duration(lifeSeconds * 1000)} if it goes on as in the last day`
  const hint =
    'let fewer or larger messages come, use a card of higher endurance, or a disk (log.disk.enduranceBytes)'
  return [{ id: 'card-life-short', severity: 'warning', subject: 'disk', summary, hint }]
}
