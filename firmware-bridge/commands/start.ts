/** `headwater-bridge start`: the running bridge, what it prints, and how it ends. */
import type { LogSink } from '../../broker/log-sink.ts'
import type { Output } from '../../broker/operations/terminal/output.ts'
import { printFacts } from '../../broker/operations/terminal/table.ts'
import { Bridge } from '../bridge.ts'
import type { BridgeConfig } from '../config/schema.ts'

const STATUS_LOG_MS = 60_000

export interface StartedWith {
  readonly config: BridgeConfig
  readonly file: string | null
  readonly warnings: readonly string[]
}

export async function runBridge(
  { config, file, warnings }: StartedWith,
  parts: { out: Output; log: LogSink; version: string; signal: AbortSignal; isClockTrusted: () => boolean },
): Promise<void> {
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
  await aborted(signal)
  clearInterval(timer)
  log.info('stopping')
  await bridge.stop()
  log.info('stopped; all that was acknowledged is with the broker')
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}
