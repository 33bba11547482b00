/** `npm run test:soak -- --minutes N` */
import { count } from '../../broker/operations/terminal/units.ts'
import type { LineChart } from '../bench/plots/line-chart.ts'
import { writeCharts } from '../bench/plots/plots.ts'
import { Exit, type MinuteOptions, runFaultProgram, type Surroundings } from '../support/fault-program.ts'
import { positive } from '../support/number-options.ts'
import type { Sample } from './judge.ts'
import { type SoakOptions, type SoakResult, SoakRun } from './soak-run.ts'

const HELP = `
Messages of QoS 0, 1 and 2, some retained, subscribers, shared subscriptions, sessions that come and go, replays, and retention at work with a
small window, all at a fixed rate. Each second the broker's memory is looked at. A run fails when RSS grows after the warm-up by more than
allowed, when a client is cut off, when the broker says anything of an error of its own, or when a message that was acknowledged is not in the log once.

Examples:
  npm run test:soak -- --minutes 60
  npm run test:soak -- --minutes 167 --plot     10,000 s, and RSS over time drawn into docs/bench/soak.svg

Exit codes: 0 nothing wrong; 1 a fault, the broker's data and log are kept; 2 wrong command line.
`

type Options = SoakOptions & MinuteOptions & { readonly plot?: string | true }

const PLOTS = 'docs/bench'
const MEGABYTE = 1_000_000

async function run(options: Options, { out, err, onInterrupt }: Surroundings): Promise<number> {
  const tell = ({ seconds, rssBytes, anonBytes }: Sample) => {
    if (options.json) out.line(JSON.stringify({ seconds, rssBytes, anonBytes }))
    else
      out.line(
        `${String(seconds / 60).padStart(5)} min  RSS ${mega(rssBytes)} MB, anon ${mega(anonBytes)} MB`,
      )
  }
  const soak = new SoakRun(options, tell)
  onInterrupt(() => soak.abandon())
  const result = await soak.run()
  if (soak.isAbandoned) return Exit.interrupted
  if (options.plot !== undefined) writeCharts([chartOf(result)], options.plot === true ? PLOTS : options.plot)
  if (options.json) out.line(JSON.stringify({ seed: options.seed, ...result, samples: undefined }))
  else for (const line of summaryOf(result, options)) out.line(line)
  if (!options.json) for (const problem of result.problems) err.line(problem)
  if (result.kept !== null) err.line(`the broker's data and what it said: ${result.kept}`)
  return result.problems.length === 0 ? Exit.ok : Exit.failed
}

const mega = (bytes: number) => (bytes / MEGABYTE).toFixed(1)

function summaryOf(result: SoakResult, { seed, minutes }: Options): string[] {
  const { counts, honest, acknowledged, growth, rssPeakBytes, warmSeconds, problems } = result
  const line = (name: string, { bytesPerHour, bytes }: SoakResult['growth']['rss']) =>
    `${name} ${mega(bytes)} MB (${mega(bytesPerHour)} MB an hour)`
  return [
    '',
    `${minutes} minutes, seed ${seed}: ${count(counts.published)} messages, ${count(counts.received)} deliveries, ${count(counts.visits)} sessions came and`,
    `  went, ${count(counts.replays)} replays of ${count(counts.replayed)} messages`,
    `  after ${(warmSeconds / 60).toFixed(1)} minutes of warm-up ${line('RSS grew by', growth.rss)}, ${line('anon by', growth.anon)}; ${mega(rssPeakBytes)} MB at the peak`,
    `  ${count(acknowledged)} counted messages of QoS 1: PUBACK p50 ${honest.acknowledgedMs.p50.toFixed(1)} ms, p99 ${honest.acknowledgedMs.p99.toFixed(1)} ms`,
    ...(problems.length === 0 ? ['exact: each acknowledged message is in the log once, and came once'] : []),
  ]
}

function chartOf({ samples }: SoakResult): LineChart {
  const points = (of: (sample: Sample) => number) =>
    samples.map((sample) => ({ x: sample.seconds / 60, y: of(sample) / MEGABYTE }))
  return {
    kind: 'lines',
    file: 'soak.svg',
    title: 'Memory over time under a mixed load',
    subtitle: 'QoS 0, 1 and 2, retained messages, sessions that come and go, replays, retention at work',
    xLabel: 'minutes',
    yLabel: 'MB',
    series: [
      { name: 'RSS', points: points(({ rssBytes }) => rssBytes) },
      { name: 'of it no mapped file', points: points(({ anonBytes }) => anonBytes) },
    ],
  }
}

await runFaultProgram<Options>({
  script: 'test:soak',
  description: 'Uses a broker as a site does, for long, and looks whether its memory stays as it is.',
  help: HELP,
  minutes: { default: 12 },
  seed: { of: 'the load' },
  addOptions: (command) => {
    command
      .option('--rate <n>', 'messages a second', positive, 200)
      .option('--growth-max <megabytes>', 'more growth of RSS than this is a fault', positive, 10)
      .option('--plot [directory]', 'draw memory over time (default: docs/bench)')
  },
  harm: 'a soak',
  whatIsMissing: async () => null,
  run,
})
