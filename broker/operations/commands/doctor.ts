/** `headwater doctor`: examines this machine for this configuration, with a broker or without one. */
import { NodeClockHost } from '../../clock/clock-host.ts'
import type { Judgement } from '../../clock/trust.ts'
import { judgeClock } from '../doctor/clock.ts'
import { type Examined, examine } from '../doctor/examine.ts'
import { type Finding, fault, type Level, ok } from '../doctor/finding.ts'
import { nodeMachine } from '../doctor/machine.ts'
import type { NativeModule } from '../doctor/runtime.ts'
import { ExitCode } from '../exit-codes.ts'
import type { BrokerStatus, StatusReport } from '../operations.ts'
import type { Output, Style } from '../terminal/output.ts'
import { printable } from '../terminal/printable.ts'
import { plural } from '../terminal/units.ts'
import { padTo } from '../terminal/width.ts'
import type { CommandContext, ConfigOptions } from './context.ts'
import { runningBroker } from './log-access.ts'

export type DoctorOptions = ConfigOptions & { readonly json: boolean }

const STYLES: Readonly<Record<Level, Style>> = { ok: 'green', warning: 'yellow', fault: 'red', none: 'dim' }
const WORDS: Readonly<Record<Level, string>> = { ok: 'ok', warning: 'warning', fault: 'fault', none: '-' }
const ITEM_COLUMNS = 16

export async function runDoctor(
  context: CommandContext,
  options: DoctorOptions,
  examineLink: Examined['examineLink'],
): Promise<number> {
  const { out, signal } = context
  const findings: Finding[] = []
  const found = (finding: Finding) => {
    findings.push(finding)
    if (!options.json) printFinding(out, finding)
  }
  const loaded = await context.loadConfig(options)
  if (!loaded.ok) {
    for (const { message, hint } of loaded.problems) found(fault('configuration', message, hint))
  } else {
    found(ok('configuration', loaded.file ?? 'defaults, no file'))
    for (const text of loaded.warnings)
      found({ item: 'configuration', level: 'warning', what: text, todo: '' })
    const { config, file } = loaded
    const isHttpGiven = loaded.isGiven(['http', 'address'])
    const broker = await brokerOn(config.data, found)
    const now = Date.now()
    const clock: Judgement = broker?.clock ?? (await judgeClock(new NodeClockHost(), now))
    const examined = {
      config,
      configFile: file,
      isHttpGiven,
      broker,
      clock,
      now,
      signal,
      examineLink,
      loadNativeModules,
    }
    for await (const finding of examine({ ...examined, machine: nodeMachine })) {
      if (signal.aborted) break
      found(finding)
    }
  }
  const count = (level: Level) => findings.filter((finding) => finding.level === level).length
  const faults = count('fault')
  if (options.json) out.json({ ok: faults === 0, findings })
  else {
    out.line()
    out.line(`${plural(faults, 'fault')}, ${plural(count('warning'), 'warning')}, ${count('ok')} ok`)
  }
  return faults === 0 && !signal.aborted ? ExitCode.ok : ExitCode.failed
}

/** One that cannot be asked is a finding, and everything else is examined all the same. */
async function brokerOn(directory: string, found: (finding: Finding) => void): Promise<BrokerStatus | null> {
  const item = 'broker'
  try {
    const client = await runningBroker(directory)
    if (client === null) {
      found({ item, level: 'none', what: `none runs on ${directory}`, todo: '' })
      return null
    }
    const { broker } = await client.json<StatusReport>('GET', '/status')
    found(ok(item, `version ${broker!.version} runs on ${directory} (pid ${broker!.pid})`))
    return broker
  } catch (error) {
    const { message, hint = '' } = error as Error & { readonly hint?: string }
    found(fault(item, message, hint))
    return null
  }
}

async function loadNativeModules(): Promise<NativeModule[]> {
  const tried = async (name: string, isOptional: boolean, load: () => Promise<unknown>) => {
    try {
      await load()
      return { name, isOptional, error: null }
    } catch (error) {
      return { name, isOptional, error: (error as Error).message.split('\n')[0]! }
    }
  }
  return [
    await tried('LevelDB', false, () => import('../../storage/level-store.ts')),
    await tried('CRC-32C', true, () => import('@node-rs/crc32')),
  ]
}

/** What to do stands below what is wrong: both are read in one look, and neither is cut. */
function printFinding(out: Output, { item, level, what, todo }: Finding): void {
  const word = out.paint(STYLES[level], WORDS[level].padEnd('warning'.length))
  const text = printable(what)
  out.line(
    `${word}  ${padTo(printable(item), ITEM_COLUMNS)}  ${level === 'none' ? out.paint('dim', text) : text}`,
  )
  if (todo !== '') out.line(`${' '.repeat('warning'.length + 2 + ITEM_COLUMNS + 2)}-> ${printable(todo)}`)
}
