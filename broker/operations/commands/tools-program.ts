/** The command line's words for what helps with the device and with the command line itself: doctor, bench, completion, man. */
import type { Command } from 'commander'
import { addShell, type Done, type SharedActions } from '../terminal/shared-words.ts'
import { examples, located, positiveNumber, reporting } from '../terminal/words.ts'
import type { BenchOptions } from './bench.ts'
import type { DoctorOptions } from './doctor.ts'

/** Each resolves to the exit code. */
export interface ToolsActions {
  doctor(options: DoctorOptions): Promise<number>
  bench(options: BenchOptions): Promise<number>
}

/** 300 times 32 GB: what is to be had of a card that says nothing of it; those made for it say more. */
const ENDURANCE_BYTES = 10_000_000_000_000

export function addTools(program: Command, actions: ToolsActions & SharedActions, done: Done): void {
  reporting(located(program.command('doctor')))
    .description(
      'examine this machine for this configuration: clock, disk, permissions, ports, certificates, link, power',
    )
    .addHelpText(
      'after',
      examples(
        'headwater doctor',
        'sudo -u headwater headwater doctor --config /etc/headwater/headwater.yaml',
        'headwater doctor --json | jq \'.findings[] | select(.level == "fault")\'',
      ),
    )
    .action(async (options) => done(await actions.doctor(options)))
  addBench(program, actions, done)
  addShell(program, actions, done, 'commands, options and names', {
    scripts: [
      'headwater completion bash | sudo tee /etc/bash_completion.d/headwater',
      'headwater completion zsh > ~/.zfunc/_headwater',
      'headwater completion fish > ~/.config/fish/completions/headwater.fish',
    ],
    manuals: ['headwater man > /usr/local/share/man/man1/headwater.1'],
  })
}

function addBench(program: Command, actions: ToolsActions, done: (code: number) => void): void {
  reporting(located(program.command('bench')))
    .description(
      'what this device can do: fsync, durable appends and, with a topic, the running broker; writes to the disk',
    )
    .option(
      '--topic <topic>',
      'also publish real records to this topic of the running broker, which stay in its log',
    )
    .option('--connections <n>', 'MQTT connections', positiveNumber, 10)
    .option(
      '--in-flight <n>',
      'messages of a connection that wait for their acknowledgement',
      positiveNumber,
      10,
    )
    .option('--payload <bytes>', 'bytes of a message', positiveNumber, 64)
    .option('--seconds <n>', 'how long to publish', positiveNumber, 5)
    .option('--user <name>', 'where the broker asks who publishes')
    .option('--password-file <file>', 'its password')
    .option(
      '--endurance <bytes>',
      'what the card takes in its life, as its maker says (TBW)',
      positiveNumber,
      ENDURANCE_BYTES,
    )
    .option('-y, --yes', 'do not ask', false)
    .addHelpText(
      'after',
      examples(
        'headwater bench',
        'headwater bench --topic bench/try --connections 50 --seconds 10',
        'headwater bench --yes --json',
      ),
    )
    .action(async (options) => done(await actions.bench(options)))
}
