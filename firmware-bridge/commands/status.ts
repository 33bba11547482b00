/** `headwater-bridge status`: asks the running bridge over its status address. */
import { get } from 'node:http'
import { formatListenAddress, parseListenAddress } from '../../broker/config/address.ts'
import type { Output } from '../../broker/operations/terminal/output.ts'
import { printable } from '../../broker/operations/terminal/printable.ts'
import { printFacts, printTable } from '../../broker/operations/terminal/table.ts'
import {
  ago,
  bytes,
  count,
  duration,
  milliseconds,
  plural,
  rate,
} from '../../broker/operations/terminal/units.ts'
import { BridgeNotRunningError } from '../errors.ts'
import type { DeviceStatus } from '../gateway/index.ts'
import { type BridgeReport, isHealthy } from '../status/report.ts'

const ANSWER_MS_MAX = 5000
const ANSWER_BYTES_MAX = 64 * 1024 * 1024
const WATCH_MS = 1000
const CLEAR = '\u001b[2J\u001b[H'

export interface StatusOptions {
  readonly json: boolean
  readonly watch: boolean
  readonly device?: string
}

/** @param address of the configuration. @returns whether nothing is wrong. @throws BridgeNotRunningError */
export async function showStatus(
  out: Output,
  address: string,
  options: StatusOptions,
  signal: AbortSignal,
): Promise<boolean> {
  for (;;) {
    const report = await askBridge(address)
    if (options.watch && out.isTerminal) out.raw(CLEAR)
    print(out, report, options)
    if (!options.watch || signal.aborted) return isHealthy(report)
    await pause(signal)
    if (signal.aborted) return isHealthy(report)
  }
}

function pause(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, WATCH_MS)
    signal.addEventListener(
      'abort',
      () => {
        clearTimeout(timer)
        resolve()
      },
      { once: true },
    )
  })
}

function askBridge(address: string): Promise<BridgeReport> {
  const parsed = parseListenAddress(address)
  if (typeof parsed === 'string') throw new BridgeNotRunningError(address)
  const { host, port } = parsed
  return new Promise((resolve, reject) => {
    const fail = (cause: unknown) => reject(new BridgeNotRunningError(formatListenAddress(parsed), cause))
    const request = get(
      { host: host ?? '127.0.0.1', port, path: '/status', timeout: ANSWER_MS_MAX },
      (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk
          if (text.length > ANSWER_BYTES_MAX) request.destroy(new Error('the answer is too long'))
        })
        response.on('error', fail)
        response.on('end', () => {
          try {
            resolve(JSON.parse(text) as BridgeReport)
          } catch (error) {
            fail(error)
          }
        })
      },
    )
    request.on('timeout', () => request.destroy(new Error('no answer')))
    request.on('error', fail)
  })
}

function print(out: Output, report: BridgeReport, { json, device: wanted }: StatusOptions): void {
  const device = report.devices.find(({ clientId }) => clientId === wanted)
  if (json) out.json(wanted === undefined ? report : (device ?? null))
  else if (wanted === undefined) printReport(out, report)
  else if (device === undefined) out.line(`no device "${printable(wanted)}" is known`)
  else printDevice(out, device)
}

function printReport(out: Output, report: BridgeReport): void {
  const { version, pid, startedAt } = report
  const state = isHealthy(report) ? out.paint('green', 'is running') : out.paint('red', 'is ailing')
  const up = duration(Date.now() - startedAt)
  out.line(`${out.paint('bold', `headwater-bridge ${version}`)} ${state} (pid ${pid}, up ${up})`)
  printFacts(out, facts(out, report))
  if (report.links.length > 0) printLinks(out, report)
  if (report.devices.length > 0) printDevices(out, report.devices)
}

function facts(out: Output, { uplink, gateway, devices, residentBytes, gatewayId }: BridgeReport) {
  const { counters } = uplink
  const broker = `${uplink.broker}, MQTT ${uplink.protocol}; ${plural(uplink.sessions, 'session')}`
  const rows: [string, string][] = [
    [
      'broker',
      uplink.isUp
        ? broker
        : out.paint('red', printable(uplink.trouble ?? `${uplink.broker} is not connected yet`)),
    ],
    [
      'taken',
      `${count(counters.accepted)} acknowledged, ${count(counters.handedOver)} of QoS 0; ` +
        `${plural(counters.repeated, 'repetition')} removed, ${count(uplink.inFlight)} in flight`,
    ],
    ['gateway', `id ${gatewayId}; ${plural(devices.length, 'device')}; ${bytes(residentBytes)} of memory`],
  ]
  const refused = counters.refused + counters.dropped
  if (refused > 0 || counters.congested > 0) {
    const text = `${count(refused)} refused or dropped, ${count(counters.congested)} told to come later`
    rows.push(['not taken', out.paint('yellow', text)])
  }
  const bad = [
    ...Object.entries(gateway.malformed).map(([reason, value]) => `${count(value)} ${reason}`),
    ...Object.entries(gateway.refused).map(([reason, value]) => `${count(value)} refused (${reason})`),
  ]
  if (gateway.flooded > 0) bad.push(`${count(gateway.flooded)} above the rate`)
  if (bad.length > 0) rows.push(['bad input', out.paint('yellow', printable(bad.join(', ')))])
  if (uplink.windowFailedCommits > 0) {
    rows.push(['disk', out.paint('red', `${plural(uplink.windowFailedCommits, 'write')} failed`)])
  }
  return rows
}

function printLinks(out: Output, { links }: BridgeReport): void {
  out.line()
  printTable(
    out,
    [
      { title: 'LINK' },
      { title: 'PROTOCOL' },
      { title: 'RECEIVED', align: 'right' },
      { title: 'SENT', align: 'right' },
      { title: 'DROPPED', align: 'right' },
      { title: 'STATE' },
    ],
    links.map(({ name, protocol, framesReceived, framesSent, dropped, trouble }) => [
      printable(name),
      protocol,
      count(framesReceived),
      count(framesSent),
      count(Object.values(dropped).reduce((sum, value) => sum + value, 0)),
      trouble === null ? 'carries' : out.paint('red', printable(trouble)),
    ]),
  )
}

function printDevices(out: Output, devices: readonly DeviceStatus[]): void {
  out.line()
  printTable(
    out,
    [
      { title: 'DEVICE' },
      { title: 'STATE' },
      { title: 'LAST SEEN' },
      { title: 'PUBLISHED', align: 'right' },
      { title: 'RATE', align: 'right' },
      { title: 'DELIVERED', align: 'right' },
      { title: 'QUEUE', align: 'right' },
      { title: 'REPEATED', align: 'right' },
      { title: 'ROUND TRIP', align: 'right' },
      { title: 'LINK' },
    ],
    devices.map((device) => [
      printable(device.clientId),
      device.state,
      ago(device.lastSeenAt),
      count(device.published),
      rate(device.perSecond),
      count(device.delivered),
      count(device.queue),
      count(device.retransmissionsSeen + device.retransmissionsMade),
      device.roundTripMs === null ? '-' : milliseconds(device.roundTripMs),
      printable(`${device.link}${device.peer === '' ? '' : ` ${device.peer}`}`),
    ]),
  )
}

function printDevice(out: Output, device: DeviceStatus): void {
  out.line(out.paint('bold', printable(device.clientId)))
  const rows = Object.entries(device)
    .filter(([name]) => name !== 'clientId')
    .map(([name, value]): [string, string] => [words(name), printable(valueText(name, value))])
  printFacts(out, rows)
}

function words(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
}

function valueText(name: string, value: unknown): string {
  if (value === null) return '-'
  if (name === 'lastSeenAt') return ago(value as number)
  if (typeof value !== 'object') return String(value)
  const parts = Object.entries(value).map(([reason, number]) => `${number} ${reason}`)
  return parts.join(', ') || 'none'
}
