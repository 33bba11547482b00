/** `headwater log acknowledge`: an operator knows of records that are lost, and the alarm ends. */
import type { ControlClient } from '../control/control-client.ts'
import { NotRunningError, UsageError } from '../errors.ts'
import { ExitCode } from '../exit-codes.ts'
import type { DamageStatus } from '../operations.ts'
import { printable } from '../terminal/printable.ts'
import { count, plural } from '../terminal/units.ts'
import { type CommandContext, type ConfigOptions, dataDirectoryOf } from './context.ts'
import { runningBroker } from './log-access.ts'

/** Ranges that are printed; the others are counted. */
const RANGES_SHOWN_MAX = 50

export type AcknowledgeOptions = ConfigOptions & {
  readonly json: boolean
  /** Do not ask. */
  readonly yes: boolean
}

export async function runLogAcknowledge(
  context: CommandContext,
  options: AcknowledgeOptions,
): Promise<number> {
  const directory = await dataDirectoryOf(context, options)
  const client = await runningBroker(directory)
  if (client === null) throw new NotRunningError(directory)
  const damage = await client.json<DamageStatus>('GET', '/log/damage')
  const { out } = context
  if (!isDamaged(damage)) {
    if (options.json) out.json({ acknowledged: false, ...damage })
    else out.line('nothing is to be acknowledged')
    return ExitCode.ok
  }
  if (!options.json) for (const line of damageLines(damage)) out.line(line)
  if (!options.yes && !(await isConfirmed(context))) {
    if (!options.json) out.line('nothing was acknowledged')
    return ExitCode.failed
  }
  await acknowledge(client, damage)
  if (options.json) out.json({ acknowledged: true, ...damage })
  else out.line('acknowledged: the alarm log-damaged ends, until there is more')
  return ExitCode.ok
}

function acknowledge(client: ControlClient, { lostOffsets }: DamageStatus): Promise<unknown> {
  return client.json('POST', '/log/acknowledge', { lostOffsets: String(lostOffsets) })
}

function isDamaged({ lostOffsets, salvagedSegments, faults, factsDamaged }: DamageStatus): boolean {
  return lostOffsets + salvagedSegments + faults + factsDamaged > 0
}

function damageLines({ lost, lostOffsets, ...since }: DamageStatus): string[] {
  const lines = lost.slice(0, RANGES_SHOWN_MAX).map(({ stream, partition, from, to }) => {
    return `lost  ${printable(stream)}/${partition} offsets ${count(from)} to ${count(to - 1)}`
  })
  if (lost.length > lines.length) lines.push(`and ${plural(lost.length - lines.length, 'more range')}`)
  if (lostOffsets > 0) lines.push(`at most ${plural(lostOffsets, 'record')} lost`)
  const { salvagedSegments, faults, factsDamaged } = since
  if (salvagedSegments > 0) lines.push(`${plural(salvagedSegments, 'damaged segment')} in quarantine`)
  if (faults > 0) lines.push(`${plural(faults, 'fault')}: headwater log verify shows where`)
  if (factsDamaged > 0) lines.push(plural(factsDamaged, 'damaged fact'))
  return lines
}

async function isConfirmed({ confirm }: CommandContext): Promise<boolean> {
  if (confirm === undefined) {
    throw new UsageError('nobody is there to confirm it', 'add --yes where that is meant')
  }
  return confirm('Is it known, and what can be restored, restored? The alarm ends.')
}
