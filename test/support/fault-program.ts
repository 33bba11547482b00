/** The command line of a run that does harm: `--cycles` and `--history`, or `--minutes`; `--seed`, `--json`, and what its exit codes mean. */
import { Command } from 'commander'
import { Output } from '../../broker/operations/terminal/output.ts'
import { aboveZero, positive, wholeNumber } from './number-options.ts'

/** Part of its interface: scripts and tests look at it. */
export const Exit = { ok: 0, failed: 1, usage: 2, cannotRun: 77, interrupted: 130 } as const

const SEED_MAX = 2 ** 31

export interface FaultOptions {
  readonly seed: number
  readonly json: boolean
}

export interface CycleOptions extends FaultOptions {
  readonly cycles: number
  /** Cycles of one history, before a new one. */
  readonly history: number
}

export interface MinuteOptions extends FaultOptions {
  readonly minutes: number
}

export interface FaultProgram<Options extends FaultOptions> {
  /** Of package.json, such as test:powercut. */
  readonly script: string
  readonly description: string
  readonly help: string
  readonly cycles?: { readonly default: number }
  readonly minutes?: { readonly default: number }
  readonly seed: { readonly of: string }
  readonly history?: { readonly default: number; readonly text: string }
  /** Adds those that this program has alone. */
  addOptions(command: Command): void
  /** Such as "power cuts". */
  readonly harm: string
  /** What it takes and this machine lacks; null where nothing is missing. */
  whatIsMissing(): Promise<string | null>
  /** @returns an exit code */
  run(options: Options, surroundings: Surroundings): Promise<number>
}

export interface Surroundings {
  readonly out: Output
  readonly err: Output
  /** @param abandon takes everything down, whatever state it is in: called when the run is broken off by a signal */
  onInterrupt(abandon: () => Promise<void>): void
}

/** Sets the process's exit code. */
export async function runFaultProgram<Options extends FaultOptions>(
  program: FaultProgram<Options>,
): Promise<void> {
  const out = new Output(process.stdout, process.env)
  const err = new Output(process.stderr, process.env)
  const command = commandOf(program)
  try {
    command.parse()
  } catch (error) {
    process.exitCode = (error as { exitCode?: number }).exitCode === 0 ? Exit.ok : Exit.usage
    return
  }
  let isBrokenOff = false
  const onInterrupt = (abandon: () => Promise<void>) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.on(signal, () => {
        if (isBrokenOff) return
        isBrokenOff = true
        err.line('broken off; cleaning up')
        void abandon().finally(() => process.exit(Exit.interrupted))
      })
    }
  }
  const given = command.opts<Options>()
  const options = { ...given, seed: given.seed ?? Date.now() % SEED_MAX }
  try {
    const missing = await program.whatIsMissing()
    if (missing !== null) {
      err.line(`${program.harm} cannot be tried here: ${missing}`)
      process.exitCode = Exit.cannotRun
      return
    }
    if (!options.json) out.line(`seed ${options.seed}`)
    const code = await program.run(options, { out, err, onInterrupt })
    // what it failed on is that it was broken off
    process.exitCode = isBrokenOff ? Exit.interrupted : code
  } catch (error) {
    if (isBrokenOff) return
    err.line(`${program.script}: ${(error as Error).message}`)
    process.exitCode = Exit.failed
  }
}

function commandOf<Options extends FaultOptions>(program: FaultProgram<Options>): Command {
  const { script, description, help, cycles, minutes, seed, history } = program
  const command = new Command(`npm run ${script} --`).description(description)
  if (cycles !== undefined) command.option('--cycles <n>', 'how often', positive, cycles.default)
  if (minutes !== undefined) command.option('--minutes <n>', 'how long', aboveZero, minutes.default)
  command.option('--seed <n>', `of ${seed.of}; one of the clock’s by default`, wholeNumber)
  if (history !== undefined) command.option('--history <n>', history.text, positive, history.default)
  program.addOptions(command)
  return command
    .option('--json', 'a JSON object for each step, then one with the summary', false)
    .addHelpText('after', help)
    .exitOverride()
}
