/** The table at the end of a run. */
import { count, plural } from '../../broker/operations/terminal/units.ts'
import type { RunResult } from './run.ts'

const HEAD = [
  'device',
  'boots',
  'acknowledged',
  'in the log',
  'commands',
  'again',
  'frames',
  'lost',
  'bits turned',
  '',
]

export function summaryOf({ devices, blows, seconds, problems }: RunResult, seed: number): string[] {
  const rows = devices.map((device) => {
    const { boots, acknowledged, records, commands, repeated, frames, lost, flipped } = device
    const numbers = [boots, acknowledged, records, commands, repeated, frames, lost, flipped]
    return [device.name, ...numbers.map(count), device.what]
  })
  const all = [HEAD, ...rows]
  const widths = HEAD.map((_, column) => Math.max(...all.map((row) => row[column]!.length)))
  const isText = (column: number) => column === 0 || column === HEAD.length - 1
  const lineOf = (row: readonly string[]) =>
    row
      .map((cell, column) => (isText(column) ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
      .join('  ')
      .trimEnd()
  const acknowledged = devices.reduce((sum, device) => sum + device.acknowledged, 0)
  const struck = Object.entries(blows).map(([victim, times]) => `${victim} ${times}`)
  return [
    ...all.map((row) => `  ${lineOf(row)}`),
    '',
    `${plural(acknowledged, 'acknowledged message')} in ${seconds.toFixed(0)} s, seed ${seed}; killed or reset: ${struck.join(', ') || 'none'}`,
    ...(problems.length === 0 ? ['exact: 0 missing, 0 duplicated in the log, in order both ways'] : []),
  ]
}
