/** `headwater-bridge start`: the running bridge, what it prints, and how it ends. */
import type { LogSink } from '../../broker/log-sink.ts'
import type { Output } from '../../broker/operations/terminal/output.ts'
import { printFacts } from '../../broker/operations/terminal/table.ts'
import { ServiceManager } from '../../broker/service-manager.ts'
import { systemClock } from '../../broker/timers.ts'
import { Watchdog } from '../../broker/watchdog.ts'
import { Bridge } from '../bridge.ts'
import type { BridgeConfig } from '../config/schema.ts'
import { judgeProgress } from '../status/progress.ts'
import type { BridgeReport } from '../status/report.ts'

const STATUS_LOG_MS = 60_000

export interface StartedWith {
  readonly config: BridgeConfig
  readonly file: string | null
  readonly warnings: readonly string[]
}

export interface BridgeWorld {
  readonly out: Output
  readonly log: LogSink
  readonly version: string
  readonly signal: AbortSignal
  readonly env: Readonly<Record<string, string | undefined>>
  readonly isClockTrusted: () => boolean
}

export async function runBridge({ config, file, warnings }: StartedWith, parts: BridgeWorld): Promise<void> {
  const { out, log, version, signal, isClockTrusted } = parts
  for (const warning of warnings) log.warn(warning)
  const bridge = await Bridge.start({ config, version, log, isClockTrusted })
  out.line(`${out.paint('bold', `headwater-bridge ${version}`)}  gateway ${config.gateway.id}`)
  printFacts(out, [
    ['config', file ?? 'defaults, no file'],
    ['broker', config.broker.url],
    [
      'links',
      config.links.map((link) => (link.kind === 'udp' ? link.address : link.port)).join(', ') || 'none',
    ],
    ['status', `http://${config.status.address}/metrics`],
  ])
  const timer = setInterval(() => {
    const { uplink, devices } = bridge.report()
    const { accepted, repeated, congested } = uplink.counters
    log.info('status', {
      broker: uplink.isUp ? 'up' : 'away',
      devices: devices.length,
      accepted,
      repeated,
      congested,
    })
  }, STATUS_LOG_MS)
  const manager = ServiceManager.of({ env: parts.env, log })
  const watchdog = manager === null ? null : supervised(manager, bridge, log)
  await aborted(signal)
  clearInterval(timer)
  watchdog?.stop()
  void manager?.stopping()
  log.info('stopping')
  await bridge.stop()
  log.info('stopped; all that was acknowledged is with the broker')
}

/** systemd is told that it runs, and goes on to be told while it does. */
function supervised(manager: ServiceManager, bridge: Bridge, log: LogSink): Watchdog {
  void manager.ready(statusLine(bridge.report()))
  let seen: Parameters<typeof judgeProgress>[0] = null
  const watchdog = new Watchdog({
    manager,
    clock: systemClock,
    log,
    status: () => statusLine(bridge.report()),
    halted: () => {
      const judged = judgeProgress(seen, bridge.report(), systemClock.monotonic())
      seen = judged.seen
      return judged.halted
    },
  })
  watchdog.start()
  return watchdog
}

function statusLine({ uplink, devices, links }: BridgeReport): string {
  const troubled = links.filter(({ trouble }) => trouble !== null).length
  const parts = [
    uplink.isUp ? 'broker up' : 'broker away',
    `${devices.length} devices`,
    `${uplink.counters.accepted} messages`,
    ...(troubled > 0 ? [`${troubled} of ${links.length} links in trouble`] : []),
  ]
  return parts.join(' · ')
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}
