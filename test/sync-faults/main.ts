/** `npm run test:sync-faults -- --cycles N --seed S` */
import { Command } from 'commander'
import { Output } from '../../broker/operations/terminal/output.ts'
import { count, milliseconds, plural } from '../../broker/operations/terminal/units.ts'
import { median } from '../bench/statistics.ts'
import { installation, NoInstallationError } from '../support/kafka/installation.ts'
import { positive, wholeNumber } from '../support/number-options.ts'
import { faultName } from './plan.ts'
import { type CycleResult, FaultRun, type RunOptions, type RunResult } from './run.ts'

/** Part of its interface: scripts and the test beside this file look at it. */
const Exit = { ok: 0, failed: 1, usage: 2, cannotRun: 77 } as const
const SEED_MAX = 2 ** 31

const HELP = `
A cycle: devices publish over MQTT to a broker that replicates to a real Kafka through a proxy; meanwhile the link is reset at some byte of a
request or an answer, closed, silent, slow, narrow, or down, a bit of a record is turned over, the edge or the cluster is killed. Every few
cycles, once upstream has all, the topic is read under read_committed: each record of the edge must be there once and in order.

Examples:
  npm run test:sync-faults -- --cycles 50
  npm run test:sync-faults -- --cycles 1000 --seed 7   the same plan of faults again; the moments within it vary

Exit codes: 0 nothing missing, nothing twice; 1 a fault; 2 wrong command line; 77 no Kafka can be started here.
`

const out = new Output(process.stdout, process.env)
const err = new Output(process.stderr, process.env)

const program = new Command('npm run test:sync-faults --')
  .description(
    'Spoils the link between an edge and Kafka, again and again, and looks whether each record is there once.',
  )
  .option('--cycles <n>', 'how often', positive, 50)
  .option('--seed <n>', 'of faults and moments; one of the clock’s by default', wholeNumber)
  .option('--history <n>', 'cycles of one edge and topic, before new ones', positive, 100)
  .option('--audit <n>', 'cycles between two readings of the topic', positive, 10)
  .option('--json', 'a JSON object a cycle, then one with the summary', false)
  .addHelpText('after', HELP)
  .exitOverride()

async function main(): Promise<number> {
  try {
    program.parse()
  } catch (error) {
    return (error as { exitCode?: number }).exitCode === 0 ? Exit.ok : Exit.usage
  }
  const given = program.opts<Omit<RunOptions, 'seed'> & { seed?: number; json: boolean }>()
  const options = { ...given, seed: given.seed ?? Date.now() % SEED_MAX }
  try {
    await installation()
  } catch (error) {
    if (!(error instanceof NoInstallationError)) throw error
    err.line(`faults cannot be tried here: ${error.message}`)
    return Exit.cannotRun
  }
  if (!options.json) out.line(`seed ${options.seed}`)
  const started = performance.now()
  const counts = new Map<string, number>()
  const run = new FaultRun(options, (result) => {
    for (const { kind } of result.plan.faults) counts.set(kind, (counts.get(kind) ?? 0) + 1)
    tell(result, options.json)
  })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => run.breakOff())
  const result = await run.run()
  summarize(
    result,
    { seed: options.seed, counts, seconds: (performance.now() - started) / 1000 },
    options.json,
  )
  return result.problems.length === 0 ? Exit.ok : Exit.failed
}

function tell(result: CycleResult, isJson: boolean): void {
  if (isJson) {
    out.line(JSON.stringify(result))
    return
  }
  const { cycle, plan, ms, audited } = result
  const faults = plan.faults.map(faultName).join(', then ')
  const after =
    audited === null
      ? ''
      : `; audited: ${plural(audited.records, 'record')}, drained in ${milliseconds(audited.drainMs)}`
  out.line(`${String(cycle).padStart(6)}  ${milliseconds(ms).padStart(7)}  ${faults}${after}`)
}

interface Told {
  readonly seed: number
  readonly counts: ReadonlyMap<string, number>
  readonly seconds: number
}

function summarize(result: RunResult, { seed, counts, seconds }: Told, isJson: boolean): void {
  const { cycles, records, acknowledged, connections, resets, flipped, drainMs, problems } = result
  if (isJson) {
    out.line(JSON.stringify({ seed, seconds, faults: Object.fromEntries(counts), ...result }))
    return
  }
  const faults = [...counts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([kind, times]) => `${kind} ${times}`)
  out.line('')
  out.line(`${plural(cycles, 'cycle')} in ${seconds.toFixed(0)} s, seed ${seed}`)
  out.line(`  faults: ${faults.join(', ')}`)
  out.line(
    `  ${count(acknowledged)} acknowledged messages, ${plural(records, 'record')} upstream; ${count(connections)} connections, ` +
      `${count(resets)} reset at a byte, ${plural(flipped, 'bit')} flipped; ` +
      `drained in ${milliseconds(median(drainMs))} at the median, ${milliseconds(Math.max(...drainMs))} at most`,
  )
  if (problems.length === 0) out.line('exact: 0 missing, 0 duplicated, in order')
  for (const problem of problems) err.line(problem)
}

process.exitCode = await main()
