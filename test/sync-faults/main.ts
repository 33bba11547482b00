/** `npm run test:sync-faults -- --cycles N --seed S` */
import { count, milliseconds, plural } from '../../broker/operations/terminal/units.ts'
import { median } from '../bench/statistics.ts'
import { type CycleOptions, Exit, runFaultProgram, type Surroundings } from '../support/fault-program.ts'
import { installation, NoInstallationError } from '../support/kafka/installation.ts'
import { positive } from '../support/number-options.ts'
import { faultName } from './plan.ts'
import { type CycleResult, FaultRun, type RunOptions, type RunResult } from './run.ts'

const HELP = `
A cycle: devices publish over MQTT to a broker that replicates to a real Kafka through a proxy; meanwhile the link is reset at some byte of a
request or an answer, closed, silent, slow, narrow, or down, a bit of a record is turned over, the edge or the cluster is killed. Every few
cycles, once upstream has all, the topic is read under read_committed: each record of the edge must be there once and in order.

Examples:
  npm run test:sync-faults -- --cycles 50
  npm run test:sync-faults -- --cycles 1000 --seed 7   the same plan of faults again; the moments within it vary

Exit codes: 0 nothing missing, nothing twice; 1 a fault; 2 wrong command line; 77 no Kafka can be started here.
`

type Options = RunOptions & CycleOptions

async function whatIsMissing(): Promise<string | null> {
  try {
    await installation()
    return null
  } catch (error) {
    if (error instanceof NoInstallationError) return error.message
    throw error
  }
}

async function run(options: Options, { out, err, onInterrupt }: Surroundings): Promise<number> {
  const started = performance.now()
  const counts = new Map<string, number>()
  const faults = new FaultRun(options, (result) => {
    for (const { kind } of result.plan.faults) counts.set(kind, (counts.get(kind) ?? 0) + 1)
    out.line(options.json ? JSON.stringify(result) : lineOf(result))
  })
  onInterrupt(() => faults.abandon())
  const result = await faults.run()
  if (faults.isAbandoned) return Exit.interrupted
  const told = { seed: options.seed, counts, seconds: (performance.now() - started) / 1000 }
  if (options.json)
    out.line(JSON.stringify({ ...told, counts: undefined, faults: Object.fromEntries(counts), ...result }))
  else for (const line of summaryOf(result, told)) out.line(line)
  if (!options.json) for (const problem of result.problems) err.line(problem)
  if (result.kept !== null) err.line(`the edge's data, what it said and what is upstream: ${result.kept}`)
  return result.problems.length === 0 ? Exit.ok : Exit.failed
}

function lineOf({ cycle, plan, ms, audited }: CycleResult): string {
  const faults = plan.faults.map(faultName).join(', then ')
  const after =
    audited === null
      ? ''
      : `; audited: ${plural(audited.records, 'record')}, drained in ${milliseconds(audited.drainMs)}`
  return `${String(cycle).padStart(6)}  ${milliseconds(ms).padStart(7)}  ${faults}${after}`
}

interface Told {
  readonly seed: number
  readonly counts: ReadonlyMap<string, number>
  readonly seconds: number
}

function summaryOf(result: RunResult, { seed, counts, seconds }: Told): string[] {
  const { cycles, records, acknowledged, connections, resets, flipped, drainMs, problems } = result
  const faults = [...counts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([kind, times]) => `${kind} ${times}`)
  const drained =
    drainMs.length === 0
      ? 'never drained'
      : `drained in ${milliseconds(median(drainMs))} at the median, ${milliseconds(Math.max(...drainMs))} at most`
  return [
    '',
    `${plural(cycles, 'cycle')} in ${seconds.toFixed(0)} s, seed ${seed}`,
    `  faults: ${faults.join(', ')}`,
    `  ${count(acknowledged)} acknowledged messages, ${plural(records, 'record')} upstream; ${count(connections)} connections, ` +
      `${count(resets)} reset at a byte, ${plural(flipped, 'bit')} flipped; ${drained}`,
    ...(problems.length === 0 ? ['exact: 0 missing, 0 duplicated, in order'] : []),
  ]
}

await runFaultProgram<Options>({
  script: 'test:sync-faults',
  description:
    'Spoils the link between an edge and Kafka, again and again, and looks whether each record is there once.',
  help: HELP,
  cycles: { default: 50 },
  seed: { of: 'faults and moments' },
  history: { default: 100, text: 'cycles of one edge and topic, before new ones' },
  addOptions: (command) => {
    command.option('--audit <n>', 'cycles between two readings of the topic', positive, 10)
  },
  harm: 'faults',
  whatIsMissing,
  run,
})
