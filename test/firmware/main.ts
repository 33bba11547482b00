/** `npm run test:firmware -- --messages N --seed S --kills K` */
import { existsSync } from 'node:fs'
import { SingleBar } from 'cli-progress'
import { BRIDGE } from '../support/bridge-process.ts'
import { Exit, type FaultOptions, runFaultProgram, type Surroundings } from '../support/fault-program.ts'
import { positive, wholeNumber } from '../support/number-options.ts'
import { BOARDS, whatIsMissing } from './firmware.ts'
import { summaryOf } from './report.ts'
import { FirmwareRun, type RunOptions } from './run.ts'

const HELP = `
The device library runs on a Cortex-M3 and on an Arduino Uno, both in QEMU, and on this machine. Each publishes numbered messages with QoS 1 over a
wire that loses 5 % of frames, turns over 0.1 % of bits, delays, splits and merges, to the bridge, which publishes to the broker. Bridge and
broker get SIGKILL at random, devices are reset. At the end the log is read: each message that a device was told is acknowledged must be
there once, in the device's order. With --commands each device is sent numbered messages with QoS 1 meanwhile: each that the broker
acknowledged to its publisher must come, in order, and again only after a break.

Examples:
  npm run test:firmware -- --messages 10000 --kills 20
  npm run test:firmware -- --messages 1000 --commands 1000 --kills 10   both ways
  npm run test:firmware -- --messages 1000 --kills 5 --seed 7   the same plan again; the moments within it vary

Exit codes: 0 nothing missing, nothing twice; 1 a fault, all data is kept; 2 wrong command line; 77 compilers or QEMU are missing here.
`

type Options = RunOptions & FaultOptions

async function run(options: Options, { out, err, onInterrupt }: Surroundings): Promise<number> {
  const bar = new SingleBar({
    format: '  {bar} {percentage}%  {value} of {total} acknowledged or received',
    barCompleteChar: '█',
    barIncompleteChar: '░',
    barsize: 30,
    hideCursor: true,
    clearOnComplete: true,
    stream: process.stderr,
  })
  const steps = options.messages + options.commands * BOARDS.length
  if (!options.json) bar.start(steps, 0)
  const firmware = new FirmwareRun(options, (taken) => {
    if (!options.json) bar.update(Math.min(taken, steps))
  })
  onInterrupt(() => firmware.abandon())
  const result = await firmware.run()
  bar.stop()
  if (firmware.isAbandoned) return Exit.interrupted
  if (options.json) out.line(JSON.stringify({ seed: options.seed, ...result }))
  else for (const line of summaryOf(result, options.seed)) out.line(line)
  if (!options.json) for (const problem of result.problems) err.line(problem)
  if (result.kept !== null) err.line(`data, configurations and what bridge and broker said: ${result.kept}`)
  return result.problems.length === 0 ? Exit.ok : Exit.failed
}

await runFaultProgram<Options>({
  script: 'test:firmware',
  description: 'Runs the device library on emulated microcontrollers, over a bad wire, into the log.',
  help: HELP,
  seed: { of: 'damage, kills and resets' },
  addOptions: (command) => {
    command
      .option('--messages <n>', 'acknowledged messages, of all devices together', positive, 3000)
      .option(
        '--commands <n>',
        'messages to each device, which keeps its session when it is reset',
        wholeNumber,
        0,
      )
      .option('--kills <n>', 'SIGKILLs of bridge or broker; as many resets of devices', wholeNumber, 6)
  },
  harm: 'firmware',
  whatIsMissing: async () => (existsSync(BRIDGE) ? whatIsMissing() : `${BRIDGE} is not built`),
  run,
})
