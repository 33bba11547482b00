/** `npm run test:hostile -- --minutes N --seed S` */
import { count, plural } from '../../broker/operations/terminal/units.ts'
import { Exit, type MinuteOptions, runFaultProgram, type Surroundings } from '../support/fault-program.ts'
import { positive } from '../support/number-options.ts'
import type { Latencies } from './honest.ts'
import { type HostileOptions, type HostileResult, HostileRun } from './hostile-run.ts'

const HELP = `
Honest clients publish at QoS 1 at a fixed rate, and one subscribes to all of it: alone, while attackers are at work on something
else (what they take of this machine), attacked, and alone again. The attackers
send packets of every type and version, whole and broken, in every state of a connection, over TCP and WebSocket; they connect and say nothing, or a byte
at a time; they flood the broker with sessions, queues, subscriptions, retained messages, aliases, properties, wills, replays, takeovers, handshakes and connections, and do not read.

A run fails when the broker ends, says anything of an error of its own, takes more memory than allowed, cuts an honest client off, or
when what was acknowledged to one is not in the log once and with the subscriber once. How late honest messages were is told.

Examples:
  npm run test:hostile -- --minutes 10
  npm run test:hostile -- --minutes 0.4 --seed 7    the same attacks in the same order; the moments vary

Exit codes: 0 nothing wrong; 1 a fault, the broker's data and log are kept; 2 wrong command line.
`

type Options = HostileOptions & MinuteOptions

async function run(options: Options, { out, err, onInterrupt }: Surroundings): Promise<number> {
  const hostile = new HostileRun(options, (step) => {
    if (!options.json) out.line(`  ${step}`)
  })
  onInterrupt(() => hostile.abandon())
  const result = await hostile.run()
  if (hostile.isAbandoned) return Exit.interrupted
  if (options.json) out.line(JSON.stringify({ seed: options.seed, ...result, samples: undefined }))
  else for (const line of summaryOf(result, options)) out.line(line)
  if (!options.json) for (const problem of result.problems) err.line(problem)
  if (result.kept !== null) err.line(`the broker's data and what it said: ${result.kept}`)
  return result.problems.length === 0 ? Exit.ok : Exit.failed
}

function summaryOf(result: HostileResult, { seed, minutes }: Options): string[] {
  const { attacks, honest, acknowledged, rssBytes, problems } = result
  const sorted = Object.entries(attacks).sort(([, a], [, b]) => b - a)
  const all = sorted.reduce((sum, [, times]) => sum + times, 0)
  const megabytes = (bytes: number) => `${Math.round(bytes / 1e6)} MB`
  const { p99 } = honest.attacked.acknowledgedMs
  const ratio = p99 / honest.alone.acknowledgedMs.p99
  const ratioBeside = p99 / honest.beside.acknowledgedMs.p99
  return [
    '',
    `${plural(all, 'attack')} in ${minutes} minutes, seed ${seed}`,
    `  ${sorted.map(([name, times]) => `${name} ${times}`).join(', ')}`,
    `  ${count(acknowledged)} honest messages acknowledged; p50 and p99 in ms from when they were due`,
    lineOf('alone', honest.alone),
    lineOf('beside', honest.beside),
    lineOf('attacked', honest.attacked),
    lineOf('afterwards', honest.afterwards),
    `  PUBACK p99 attacked against alone: ${ratio.toFixed(1)}x; against beside attackers of something else: ${ratioBeside.toFixed(1)}x`,
    `  RSS ${megabytes(rssBytes.before)} before, ${megabytes(rssBytes.peak)} at the peak, ${megabytes(rssBytes.after)} afterwards; ` +
      `${megabytes(rssBytes.growth)} more in the second half of the attack`,
    ...(problems.length === 0 ? ['exact: each acknowledged message is in the log once, and came once'] : []),
  ]
}

function lineOf(name: string, { acknowledgedMs, deliveredMs, standstills }: Latencies): string {
  const text = ({ p50, p99, max }: Latencies['deliveredMs']) =>
    `${p50.toFixed(1)} / ${p99.toFixed(1)}, ${max.toFixed(0)} at most`
  const stood = standstills === 0 ? '' : `; the measuring process stood still ${plural(standstills, 'time')}`
  return `  ${name.padEnd(10)}  PUBACK ${text(acknowledgedMs)}; at the subscriber ${text(deliveredMs)}${stood}`
}

await runFaultProgram<Options>({
  script: 'test:hostile',
  description: 'Attacks a broker that honest clients use, and looks whether they lose anything.',
  help: HELP,
  minutes: { default: 5 },
  seed: { of: 'attacks' },
  addOptions: (command) => {
    command
      .option('--rss-max <megabytes>', 'more than this is a fault', positive, 400)
      .option('--window <mebibytes>', 'of the strangers’ messages so much is kept', positive, 256)
      .option('--only <text>', 'only attacks whose name contains this')
  },
  harm: 'attacks',
  whatIsMissing: async () => null,
  run,
})
