/** Cuts the power of a whole machine: what `npm run test:arm` starts, with the machine that it made. */
import { mkdtempSync, statSync, writeFileSync } from 'node:fs'
import type { Command } from 'commander'
import { Exit, type FaultOptions, runFaultProgram, type Surroundings } from '../support/fault-program.ts'
import { seededRandom } from '../support/random.ts'
import { DISK_WORD, Machine, type MachineCut, PORT_WORD, SAYS_WORD, UNIT_WORD } from './machine.ts'
import { Place, sweep, whatIsMissing } from './system.ts'

const HELP = `
COMMAND makes the machine, its console on standard output: ${DISK_WORD} in it stands for the disk, ${PORT_WORD} for the port here
that leads to its broker, ${SAYS_WORD} for one that leads to what says how the machine is, ${UNIT_WORD} for what its kernel is told. Each third cut
comes while it boots.

Example, as test/package/arm.sh has it:
  node dist/test/powercut/machine-main.js --disk installed.ext4 --cycles 6 -- qemu-system-aarch64 ... -append 'root=/dev/vda ${UNIT_WORD}'
`

interface Options extends FaultOptions {
  readonly cycles: number
  readonly disk: string
}

let command: readonly string[] = []

async function cutAll(options: Options, { out, err, onInterrupt }: Surroundings): Promise<number> {
  sweep()
  const { disk, seed, cycles } = options
  const place = new Place(mkdtempSync(Place.prefix()))
  writeFileSync(place.pidFile, String(process.pid))
  const settings = { disk, diskBytes: statSync(disk).size, command, seed }
  const random = seededRandom(seed)
  const machine = await Machine.create(place, settings, random)
  onInterrupt(() => machine.close({ keep: false }))
  let problems: string[] = []
  let isJudged = false
  try {
    for (let cycle = 1; cycle <= cycles; cycle++) {
      out.line(lineOf(cycle, await machine.cycle(cycle % 3 === 0 ? 'boot' : 'work')))
    }
    problems = await machine.judge()
    isJudged = true
  } catch (error) {
    problems = [(error as Error).message]
  }
  for (const problem of problems) err.line(problem)
  if (machine.silent > 0)
    out.line(`${machine.silent} more boots of a machine that said nothing, each ended by a cut`)
  const isLost = problems.length > 0
  const verdict = isLost ? 'NOT all there' : 'all there'
  out.line(`${cycles} cuts, ${machine.acknowledged} acknowledged: ${isJudged ? verdict : 'not judged'}`)
  await machine.close({ keep: isLost })
  if (isLost) err.line(`the disk and what the machine said: ${place.directory}`)
  return isLost ? Exit.failed : Exit.ok
}

function lineOf(cycle: number, { during, upMs, servedMs, acknowledged, cut }: MachineCut): string {
  const seconds = (upMs / 1000).toFixed(0)
  const worked = `emulated for ${(servedMs / 1000).toFixed(0)} s of work`
  const lost = `${cut.cachedBytes - cut.keptBytes} of ${cut.cachedBytes} B that were not flushed lost (${cut.loss}), ${worked}`
  return during === 'boot'
    ? `cut ${cycle}: ${seconds} s after power on, ${lost}`
    : `cut ${cycle}: a client is let in ${seconds} s after power on, ${acknowledged} acknowledged, ${lost}`
}

await runFaultProgram<Options>({
  script: 'test:arm',
  description:
    'Cuts the power of a machine that qemu makes, and looks whether anything acknowledged is lost.',
  help: HELP,
  cycles: { default: 6 },
  seed: { of: 'moments, losses and payloads' },
  addOptions: (program: Command) => {
    program
      .argument('<command...>', 'what makes the machine')
      .requiredOption('--disk <file>', 'the disk with the package installed; it is left alone')
      .action((words: string[]) => {
        command = words
      })
  },
  harm: 'power cuts',
  whatIsMissing: async () => whatIsMissing(),
  run: cutAll,
})
