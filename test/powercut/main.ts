/** `npm run test:powercut -- --cycles N --seed S` */
import type { Output } from '../../broker/operations/terminal/output.ts'
import { type CycleOptions, Exit, runFaultProgram, type Surroundings } from '../support/fault-program.ts'
import { Reporter } from './report.ts'
import { PowerCutRun, type RunOptions, type RunResult } from './run.ts'
import { scenarioText } from './scenarios.ts'
import { sweep, whatIsMissing } from './system.ts'

const HELP = `
A cycle: devices publish over MQTT to a broker whose data directory is on ext4 on a loop device; the power is cut; the disk keeps what
it had flushed and a part of what it had not; it is mounted, the broker starts by itself, \`headwater log verify\` and the devices'
own books judge; the next cycle goes on from there.

Examples:
  npm run test:powercut -- --cycles 20              it takes root: sudo npm run test:powercut -- ...
  npm run test:powercut -- --cycles 200 --seed 7    the same plan of cuts again; the moments within it vary
  npm run test:powercut -- --scenario large --json
  npm run test:powercut -- --lying-disk             a disk that ignores flushes: this must fail

Exit codes: 0 nothing lost; 1 a fault, the disk's image is kept; 2 wrong command line; 77 no loop devices, FUSE or root here.
`

type Options = RunOptions & CycleOptions

async function run(options: Options, { out, err, onInterrupt }: Surroundings): Promise<number> {
  sweep(options.dir)
  const reporter = new Reporter(out, options.json)
  const cuts = new PowerCutRun(options, reporter)
  onInterrupt(() => cuts.abandon())
  const result = await cuts.run()
  if (cuts.isAbandoned) return Exit.interrupted
  reporter.summary(options.seed, result.problems)
  tellWhatIsKept(err, result)
  return result.problems.length === 0 ? Exit.ok : Exit.failed
}

function tellWhatIsKept(err: Output, { problems, kept }: RunResult): void {
  if (kept === null) return
  const directory = kept.slice(0, kept.lastIndexOf('/'))
  err.line(`${problems.length > 0 ? 'the disk as the last cut left it' : 'the disk'}: ${kept}`)
  err.line(`  what the broker said: ${directory}/broker.log`)
  err.line(
    `  cp --sparse=always ${kept} /tmp/copy && mkdir -p /tmp/looked && mount -o loop /tmp/copy /tmp/looked`,
  )
  err.line('  node dist/cli.js log verify --data /tmp/looked/data')
  err.line(`  umount /tmp/looked; rm -r /tmp/copy /tmp/looked ${directory}`)
}

await runFaultProgram<Options>({
  script: 'test:powercut',
  description:
    'Cuts the power of a broker, again and again, and looks whether anything acknowledged is lost.',
  help: HELP,
  cycles: { default: 20 },
  seed: { of: 'moments, losses and payloads' },
  history: { default: 25, text: 'cycles on one disk, before a new one with the next scenario' },
  addOptions: (command) => {
    command
      .option('--scenario <text>', 'only the scenarios whose name contains this', scenarioText)
      .option('--dir <directory>', 'put the disk’s image below this directory; the temporary one by default')
      .option('--keep', 'leave the last disk’s image', false)
      .option(
        '--lying-disk',
        'the device ignores flushes: what is acknowledged must then be found lost',
        false,
      )
  },
  harm: 'power cuts',
  whatIsMissing: async () => whatIsMissing(),
  run,
})
