/** What `headwater top` shows of one interval. Pure: what goes where, and in which order. */
import { waitsForPerson } from '../commands/sync-status.ts'
import type { UpstreamStatus } from '../operations.ts'
import type { Output } from '../terminal/output.ts'
import { printable } from '../terminal/printable.ts'
import { type Column, printTable } from '../terminal/table.ts'
import { bytes, count, duration, milliseconds, plural, rate } from '../terminal/units.ts'
import type { TopOrder } from './orders.ts'
import type { ClientRate, Rates, StreamRate } from './rates.ts'

/** Largest first; of equal ones, and by name, in the order of their names. */
export function sortStreams(streams: readonly StreamRate[], order: TopOrder): StreamRate[] {
  const sizes: Readonly<Record<TopOrder, (stream: StreamRate) => number>> = {
    rate: ({ recordsPerSecond }) => recordsPerSecond,
    bytes: (stream) => stream.bytes,
    waiting: ({ lagRecords }) => lagRecords ?? 0,
    name: () => 0,
  }
  const size = sizes[order]
  return streams.toSorted((one, other) => size(other) - size(one) || (one.stream < other.stream ? -1 : 1))
}

export function sortClientRates(clients: readonly ClientRate[], order: TopOrder): ClientRate[] {
  const sizes: Readonly<Record<TopOrder, (client: ClientRate) => number>> = {
    rate: ({ messagesInPerSecond, messagesOutPerSecond }) => messagesInPerSecond + messagesOutPerSecond,
    bytes: ({ bytesPerSecond }) => bytesPerSecond,
    waiting: ({ waiting }) => waiting,
    name: () => 0,
  }
  const size = sizes[order]
  return clients.toSorted((one, other) => size(other) - size(one) || (one.clientId < other.clientId ? -1 : 1))
}

export interface TopView {
  readonly order: TopOrder
  /** Rows of the screen; what does not fit is left out and counted. Infinity in a pipe. */
  readonly rows: number
  /** Keys work. */
  readonly isInteractive: boolean
}

/** Streams are few and clients are many: a third of what is left is for streams, if they need it. */
const STREAMS_SHARE = 1 / 3
const HEADING_ROWS = 2

export function printTop(out: Output, rates: Rates, view: TopView): void {
  printHead(out, rates, view)
  let rows = view.rows - 3
  if (rates.upstreams.length > 0) {
    printUpstreamLags(out, rates.upstreams)
    rows -= rates.upstreams.length + HEADING_ROWS
  }
  const ofStreams = Math.max(1, Math.floor(rows * STREAMS_SHARE) - HEADING_ROWS)
  const streams = fitting(sortStreams(rates.streams, view.order), ofStreams)
  printStreamRates(out, rates, streams)
  rows -= streams.shown.length + HEADING_ROWS + (streams.left > 0 ? 1 : 0)
  const clients = fitting(sortClientRates(rates.clients, view.order), Math.max(1, rows - HEADING_ROWS))
  printClientRates(out, rates, clients)
}

interface Fitting<T> {
  readonly shown: readonly T[]
  readonly left: number
}

function fitting<T>(all: readonly T[], rowsMax: number): Fitting<T> {
  if (all.length <= rowsMax) return { shown: all, left: 0 }
  const shown = all.slice(0, Math.max(0, rowsMax - 1))
  return { shown, left: all.length - shown.length }
}

function printHead(out: Output, rates: Rates, { order, isInteractive }: TopView): void {
  const { broker } = rates
  const { log, mqtt } = broker
  const name = out.paint('bold', `headwater ${broker.version}`)
  const keys = isInteractive ? out.paint('dim', `   by ${order}: s   quit: q`) : ''
  const alarms = rates.alarms === 0 ? '' : `  ${out.paint('red', plural(rates.alarms, 'alarm'))}`
  out.line(`${name}  ${broker.edge}  up ${duration(Date.now() - broker.startedAt)}${alarms}${keys}`)
  const state = log.condition === 'open' ? '' : `  ${out.paint('red', `the log is ${log.condition}`)}`
  const full = log.space.isFull ? `  ${out.paint('red', 'the disk is full')}` : ''
  out.line(
    `${pace(rates, rates.messagesPerSecond)} messages  ${size(rates, rates.bytesPerSecond)}  ` +
      `${pace(rates, rates.commitsPerSecond)} commits  p50 ${milliseconds(log.commitMsP50)} ` +
      `p99 ${milliseconds(log.commitMsP99)}  ${count(mqtt.connections)} of ${count(mqtt.connectionsMax)} clients${state}${full}`,
  )
}

/** The first look has nothing to compare with. */
function pace({ seconds }: Rates, perSecond: number): string {
  return seconds === 0 ? '-' : rate(perSecond)
}

function size({ seconds }: Rates, perSecond: number): string {
  return seconds === 0 ? '-' : `${bytes(perSecond)}/s`
}

function printUpstreamLags(out: Output, upstreams: readonly UpstreamStatus[]): void {
  out.line()
  const columns: Column[] = [
    { title: 'UPSTREAM' },
    { title: 'STATE', isWhole: true },
    { title: 'LAG', align: 'right' },
    { title: 'OLDEST', align: 'right' },
    { title: 'RATE', align: 'right' },
    { title: 'DRAINED IN', align: 'right' },
    { title: 'LAST ACK', align: 'right' },
  ]
  const rows = upstreams.map((status) => [
    printable(status.name),
    waitsForPerson(status) ? out.paint('red', status.state) : status.state,
    count(status.lagRecords),
    status.lagSecondsOldest === null ? '-' : duration(status.lagSecondsOldest * 1000),
    rate(status.recordsPerSecond),
    status.lagRecords === 0 || status.drainSeconds === null ? '-' : duration(status.drainSeconds * 1000),
    status.ackAgeSeconds === null ? 'never' : `${duration(status.ackAgeSeconds * 1000)} ago`,
  ])
  printTable(out, columns, rows)
}

function printStreamRates(out: Output, rates: Rates, { shown, left }: Fitting<StreamRate>): void {
  out.line()
  const columns: Column[] = [
    { title: 'STREAM' },
    { title: 'RATE', align: 'right' },
    { title: 'RECORDS', align: 'right' },
    { title: 'BYTES', align: 'right' },
    { title: 'LAG', align: 'right' },
  ]
  const rows = shown.map((stream) => [
    printable(stream.stream),
    pace(rates, stream.recordsPerSecond),
    count(stream.records),
    bytes(stream.bytes),
    stream.lagRecords === null ? '-' : count(stream.lagRecords),
  ])
  printTable(out, columns, rows)
  if (left > 0) out.line(out.paint('dim', `${count(left)} more`))
}

function printClientRates(out: Output, rates: Rates, { shown, left }: Fitting<ClientRate>): void {
  out.line()
  const columns: Column[] = [
    { title: 'CLIENT' },
    { title: 'IN', align: 'right' },
    { title: 'OUT', align: 'right' },
    { title: 'BYTES', align: 'right' },
    { title: 'WAITING', align: 'right' },
    { title: 'ADDRESS' },
  ]
  const rows = shown.map((client) => [
    printable(client.clientId),
    pace(rates, client.messagesInPerSecond),
    pace(rates, client.messagesOutPerSecond),
    size(rates, client.bytesPerSecond),
    count(client.waiting),
    client.address,
  ])
  printTable(out, columns, rows)
  if (left > 0) out.line(out.paint('dim', `${count(left)} more`))
}
