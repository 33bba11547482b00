/** `npm run bench -- ingest|log|sync|gateway` */
import { Command, InvalidArgumentError } from 'commander'
import { Output } from '../../broker/operations/terminal/output.ts'
import type { BenchOptions } from './options.ts'
import { printReport, type Report } from './report.ts'

const EXAMPLES = `
Examples:
  npm run bench -- ingest                    MQTT beside mosquitto where it is installed
  npm run bench -- ingest --only c10 --size 256
  npm run bench -- log --dir /mnt/card       the log on another disk than the temporary directory's
  npm run bench -- log --only start,memory   parts of it: append, start, spread, retention, compaction, memory
  npm run bench -- log --plots               and draw how cost grows, as SVG into docs/bench/
  npm run bench -- sync --records 200000     a smaller backlog into the test Kafka
  npm run bench -- gateway --devices 200     MQTT-SN: processor time of a message, without links and broker
  npm run bench -- sync --only wire          bytes on the wire by codec, for a typical stream of JSON
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
    .option('--dir <directory>', 'write below this directory: on the disk to measure')
    .option('--only <texts>', 'only the cases whose name contains this, or one of these: a,b')
    .option('--profile <directory>', 'leave CPU profiles of what is measured there')
}

function run<O extends BenchOptions>(work: () => Promise<(options: O) => Promise<Report>>) {
  return async (given: O) => {
    const options = { ...given, runs: given.quick ? 1 : given.runs }
    const report = await (await work())(options)
    printReport(new Output(process.stdout, process.env), report, options.json)
  }
}

function positive(text: string): number {
  const value = Number(text)
  if (!(value > 0)) throw new InvalidArgumentError('It must be a number above 0.')
  return value
}

bench('ingest', 'QoS 1 over 1, 10 and 100 connections: rate, latency, memory, processor time')
  .option('--size <bytes>', 'payload', positive, 64)
  .option('--seconds <n>', 'measured in each run, after a warm-up', positive, 4)
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

bench('gateway', 'the MQTT-SN gateway alone: processor time of a message by QoS')
  .option('--devices <n>', 'that publish in turn', positive, 200)
  .option('--size <bytes>', 'payload', positive, 17)
  .action(run(async () => (await import('./gateway/suite.ts')).gateway))

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
