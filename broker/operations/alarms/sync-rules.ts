/** Of upstreams and downlinks. */
import type { DownlinkStatus, UpstreamStatus } from '../operations.ts'
import { printable } from '../terminal/printable.ts'
import { count, duration } from '../terminal/units.ts'
import type { Finding } from './alarm.ts'
import type { AlarmLook } from './look.ts'

/** An upstream that has something to get has acknowledged nothing for so long. */
const STALLED_SECONDS = 600
const OLDEST_SECONDS_MAX = 3600
const OLDEST_CLOSES_SECONDS = 1800
/** Fewer than this are no backlog, whether they grow or not. */
const GROWING_RECORDS_MIN = 1000

export function syncFindings(look: AlarmLook): Finding[] {
  return [
    ...look.upstreams.flatMap((upstream) => [
      ...standing(upstream),
      ...lagging(upstream, look),
      ...refused(upstream),
    ]),
    ...look.downlinks.flatMap(downlink),
  ]
}

function standing({ name, state, lastError, ackAgeSeconds, lagRecords, tries }: UpstreamStatus): Finding[] {
  const why = lastError === null ? '' : `: ${printable(lastError.message)}`
  if (state === 'stopped') {
    const summary = `${name} has stopped and waits for a person${why}`
    const hint = `${lastError?.hint ?? 'see its last error'}; then headwater sync resume ${name}`
    return [{ id: 'upstream-stopped', severity: 'critical', subject: name, summary, hint }]
  }
  if (state === 'paused') {
    const summary = `${name} is paused, and ${count(lagRecords)} records wait`
    return [
      {
        id: 'upstream-paused',
        severity: 'info',
        subject: name,
        summary,
        hint: `headwater sync resume ${name}`,
      },
    ]
  }
  if (state === 'held' || lagRecords === 0) return []
  const isSilent = ackAgeSeconds === null ? tries > 0 : ackAgeSeconds > STALLED_SECONDS
  if (state !== 'backoff' && !isSilent) return []
  const summary = `${name} acknowledges nothing, and ${count(lagRecords)} records wait${why}`
  const hint = lastError?.hint ?? 'look at the link and at the upstream; the broker goes on trying'
  return [{ id: 'upstream-stalled', severity: 'warning', subject: name, summary, hint }]
}

function lagging({ name, state, lagSecondsOldest, lagRecords }: UpstreamStatus, look: AlarmLook): Finding[] {
  if (state === 'stopped' || state === 'paused' || lagRecords === 0) return []
  const limit = look.isOpen('upstream-lagging', name) ? OLDEST_CLOSES_SECONDS : OLDEST_SECONDS_MAX
  const oldest = lagSecondsOldest ?? 0
  const grows =
    lagRecords >= GROWING_RECORDS_MIN && look.recent.grewThroughout(({ lagRecords: by }) => by[name] ?? 0)
  if (oldest <= limit && !grows) return []
  const what = grows
    ? `${count(lagRecords)} records wait for ${name}, more and more for ten minutes`
    : `${count(lagRecords)} records wait for ${name}, the oldest for ${duration(oldest * 1000)}`
  const hint = 'see what holds it back with headwater sync status: link, schedule, budget or bandwidth'
  return [{ id: 'upstream-lagging', severity: 'warning', subject: name, summary: what, hint }]
}

function refused({ name, refused: streams }: UpstreamStatus): Finding[] {
  return streams.map(({ stream, message, hint }) => ({
    id: 'stream-refused',
    severity: 'warning',
    subject: `${name}/${stream}`,
    summary: `${name} refuses ${printable(stream)} while it takes others: ${printable(message)}`,
    hint,
  }))
}

function downlink({ name, state, lastError, tries, answerAgeSeconds }: DownlinkStatus): Finding[] {
  const why = lastError === null ? '' : `: ${printable(lastError.message)}`
  if (state === 'stopped') {
    const summary = `${name} has stopped and waits for a person${why}`
    const hint = `${lastError?.hint ?? 'see its last error'}; then headwater sync resume ${name}`
    return [{ id: 'downlink-stopped', severity: 'critical', subject: name, summary, hint }]
  }
  if (state === 'paused') {
    const summary = `${name} is paused: what its topic has does not come`
    const hint = `headwater sync resume ${name}`
    return [{ id: 'downlink-paused', severity: 'info', subject: name, summary, hint }]
  }
  // it may have something or not: who cannot ask does not know
  if (tries === 0) return []
  const last =
    answerAgeSeconds === null ? '' : `, its topic answered ${duration(answerAgeSeconds * 1000)} ago`
  const summary = `${name} brings nothing down${last}${why}`
  const hint = lastError?.hint ?? 'look at the link and at the cluster; the broker goes on trying'
  return [{ id: 'downlink-stalled', severity: 'warning', subject: name, summary, hint }]
}
