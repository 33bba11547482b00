/** `npm run test:powercut -- --cycles N --seed S` */
import { Command } from 'commander'
import { Output } from '../../broker/operations/terminal/output.ts'
import { positive, wholeNumber } from '../support/number-options.ts'
import { Reporter } from './report.ts'
import { PowerCutRun, type RunOptions, type RunResult } from './run.ts'
import { sweep, whatIsMissing } from './system.ts'

/** Part of its interface: scripts and the test beside this file look at it. */
const Exit = { ok: 0, failed: 1, usage: 2, cannotRun: 77, interrupted: 130 } as const
const SEED_MAX = 2 ** 31

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

type Options = RunOptions & { readonly json: boolean }

const out = new Output(process.stdout, process.env)
const err = new Output(process.stderr, process.env)

const program = new Command('npm run test:powercut --')
  .description(
    'Cuts the power of a broker, again and again, and looks whether anything acknowledged is lost.',
  )
  .option('--cycles <n>', 'how often', positive, 20)
  .option('--seed <n>', 'of moments, losses and payloads; one of the clock’s by default', wholeNumber)
  .option('--history <n>', 'cycles on one disk, before a new one with the next scenario', positive, 25)
  .option('--scenario <text>', 'only the scenarios whose name contains this')
  .option('--dir <directory>', 'put the disk’s image below this directory; the temporary one by default')
  .option('--keep', 'leave the last disk’s image', false)
  .option('--lying-disk', 'the device ignores flushes: what is acknowledged must then be found lost', false)
  .option('--json', 'a JSON object a cycle, then one with the summary', false)
  .addHelpText('after', HELP)
  .exitOverride()

async function main(): Promise<number> {
  try {
    program.parse()
  } catch (error) {
    return (error as { exitCode?: number }).exitCode === 0 ? Exit.ok : Exit.usage
  }
  const given = program.opts<Omit<Options, 'seed'> & { seed?: number }>()
  const options: Options = { ...given, seed: given.seed ?? Date.now() % SEED_MAX }
  const missing = whatIsMissing()
  if (missing !== null) {
    err.line(`power cuts cannot be tried here: ${missing}`)
    return Exit.cannotRun
  }
  sweep(options.dir)
  if (!options.json) out.line(`seed ${options.seed}`)
  const reporter = new Reporter(out, options.json)
  const run = new PowerCutRun(options, reporter)
  let isBrokenOff = false
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (isBrokenOff) return
      isBrokenOff = true
      err.line('broken off; cleaning up')
      void run.abandon().finally(() => process.exit(Exit.interrupted))
    })
  }
  const result = await run.run()
  // what it failed on is that it was broken off
  if (isBrokenOff) return Exit.interrupted
  reporter.summary(options.seed, result.problems)
  tellWhatIsKept(result)
  return result.problems.length === 0 ? Exit.ok : Exit.failed
}

function tellWhatIsKept({ problems, kept }: RunResult): void {
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

try {
  process.exitCode = await main()
} catch (error) {
  err.line(`test:powercut: ${(error as Error).message}`)
  process.exitCode = Exit.usage
}
