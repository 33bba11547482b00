/** `npm run bench -- ingest|log|sync|bridge` */
import { Command, InvalidArgumentError } from 'commander'
import { Output } from '../../broker/operations/terminal/output.ts'
import type { BenchOptions } from './options.ts'
import { printReport, type Report } from './report.ts'

const EXAMPLES = `
Examples:
  npm run bench -- ingest                    MQTT beside mosquitto where it is installed
  npm run bench -- ingest --only c10 --size 256
  npm run bench -- ingest --only guarded     with MQTT 5, users, permissions and quotas alone
  npm run bench -- log --dir /mnt/card       the log on another disk than the temporary directory's
  npm run bench -- log --only start,memory   parts of it: append, start, spread, retention, compaction, memory
  npm run bench -- log --plots               and draw how cost grows, as SVG into docs/bench/
  npm run bench -- sync --records 200000     a smaller backlog into the test Kafka
  npm run bench -- sync --only beside        what publishers notice while a backlog drains
  npm run bench -- sync --only wire          bytes on the wire by codec, for a typical stream of JSON
  npm run bench -- bridge                    the firmware bridge: its decoder, its gateway, 200 devices
  npm run bench -- bridge --only devices     200 devices through the bridge, beside MQTT clients of the broker
  npm run bench -- log --quick --json        a look in seconds, for a program to read
`

const program = new Command('npm run bench --')
  .description('Measures Headwater on this machine, beside its peers where they are installed.')
  .addHelpText('after', EXAMPLES)
  .showHelpAfterError('(see npm run bench -- --help)')

function bench(name: string, description: string): Command {
  return program
    .command(name)
    .description(description)
    .option('--runs <n>', 'rounds over all cases; medians are shown', positive, 3)
    .option('--quick', 'a look in seconds: short, small, one round', false)
    .option('--json', 'for machines', false)
    .option('--markdown', 'tables for a page', false)
    .option('--dir <directory>', 'write below this directory: on the disk to measure')
    .option('--only <texts>', 'only the cases whose name contains this, or one of these: a,b')
    .option('--profile <directory>', 'leave CPU profiles of what is measured there')
}

function run<O extends BenchOptions>(work: () => Promise<(options: O) => Promise<Report>>) {
  return async (given: O) => {
    const options = { ...given, runs: given.quick ? 1 : given.runs }
    const report = await (await work())(options)
    const form = options.json ? 'json' : options.markdown ? 'markdown' : 'text'
    printReport(new Output(process.stdout, process.env), report, form)
  }
}

function positive(text: string): number {
  const value = Number(text)
  if (!(value > 0)) throw new InvalidArgumentError('It must be a number above 0.')
  return value
}

bench(
  'ingest',
  'MQTT in and out: rate, latency, memory, processor time; open, and with users, permissions and quotas',
)
  .option('--size <bytes>', 'payload', positive, 64)
  .option('--seconds <n>', 'measured in each run, after a warm-up', positive, 3)
  .option('--plots [directory]', 'draw rates as SVG (default: docs/bench)')
  .action(run(async () => (await import('./ingest/suite.ts')).ingest))

bench('log', 'append with fsync, read, start, retention, compaction, bytes written to the device, memory')
  .option('--megabytes <n>', 'payload that each case of append and spread appends', positive, 250)
  .option('--compacted-megabytes <n>', 'payload that is compacted', positive, 1000)
  .option('--plots [directory]', 'draw how cost grows, as SVG (default: docs/bench)')
  .action(run(async () => (await import('./log/suite.ts')).log))

bench(
  'sync',
  'a backlog into a real Kafka, beside JavaScript producers and MirrorMaker 2; bytes on the wire by codec',
)
  .option('--records <n>', 'of 200 B', positive, 2_000_000)
  .action(run(async () => (await import('./sync/suite.ts')).sync))

bench(
  'bridge',
  'the firmware bridge: bytes of a serial line to checked messages; what a message costs the gateway; 200 devices end to end',
).action(run(async () => (await import('./bridge/suite.ts')).bridge))

// a reader that has seen enough (`| head`) is no error
process.stdout.on('error', () => process.exit())
// a Ctrl-C ends the children too (children.ts)
process.once('SIGINT', () => process.exit(130))
process.once('SIGTERM', () => process.exit(143))

try {
  await program.parseAsync()
} catch (error) {
  process.stderr.write(`bench: ${(error as Error).message}\n`)
  process.exitCode = 1
}
