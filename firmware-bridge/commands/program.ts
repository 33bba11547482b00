/** The words of `headwater-bridge`: commands, options, help. What they do comes in as `BridgeActions`. */
import { type Command, InvalidArgumentError } from 'commander'
import { addConfig, type ConfigActions } from '../../broker/operations/terminal/config-words.ts'
import type { ProgramFacts } from '../../broker/operations/terminal/manual/description.ts'
import { tellUsageErrors } from '../../broker/operations/terminal/manual/usage.ts'
import {
  addInit,
  addShell,
  newProgram,
  type SharedActions,
} from '../../broker/operations/terminal/shared-words.ts'
import {
  examples,
  type Located,
  located,
  type Reporting,
  reporting,
} from '../../broker/operations/terminal/words.ts'

/** Each resolves to the exit code. */
export interface BridgeActions extends SharedActions, ConfigActions {
  start(options: Located): Promise<number>
  status(options: Reporting & { readonly watch: boolean; readonly device?: string }): Promise<number>
  ports(options: { readonly json: boolean }): Promise<number>
}

/** @param done gets the exit code of the command that ran. */
export function buildBridgeProgram(
  version: string,
  actions: BridgeActions,
  done: (code: number) => void,
): Command {
  const description =
    'Brings microcontrollers without MQTT to an MQTT broker: serial ports and UDP, exactly once.'
  const program = newProgram('headwater-bridge', description, version, BRIDGE_FACTS)
  program.helpCommand('help [command...]', 'print help of a command')
  addStart(program, actions, done)
  addInit(program, actions, done)
  addConfig(program, actions, done, {
    config: 'the configuration',
    check: 'tell what is wrong with the configuration, by line and column',
    file: 'bridge.yaml',
    shown: 'broker',
    picked: 'broker',
  })
  addReports(program, actions, done)
  addShell(program, actions, done, 'commands and options')
  tellUsageErrors(program)
  return program
}

/** What help and manual say beside the commands. */
export const BRIDGE_FACTS: ProgramFacts = {
  configuration:
    'Without --config the file is $HEADWATER_BRIDGE_CONFIG, else headwater-bridge.yaml, else /etc/headwater/headwater-bridge.yaml, else defaults.',
  environment: [
    ['HEADWATER_BRIDGE_BROKER_URL, ...', 'single keys of the configuration (see the file that init writes)'],
    ['HEADWATER_LOG', 'debug, info, warn, error or silent: the log of start'],
    ['HEADWATER_DEBUG=1', 'print stacks of errors'],
    ['NO_COLOR=1, FORCE_COLOR=1', 'no colours; colours in a pipe, too'],
  ],
  exitCodes: [
    [0, 'done; for status: nothing is wrong'],
    [1, 'failed, or a fault was found'],
    [2, 'wrong command line or configuration'],
    [3, 'no bridge is running'],
    [4, 'another bridge uses the data directory'],
    [5, 'the data directory cannot be used'],
    [6, 'an address cannot be listened on'],
  ],
  files: [
    [
      '/etc/headwater/headwater-bridge.yaml',
      'the configuration, where none is named and none is in the working directory',
    ],
  ],
  examples: [
    'headwater-bridge ports',
    'headwater-bridge init',
    'headwater-bridge start',
    'headwater-bridge status --watch',
  ],
}

function addStart(program: Command, actions: BridgeActions, done: (code: number) => void): void {
  located(program.command('start'))
    .description('run the bridge until Ctrl-C or SIGTERM')
    .addHelpText(
      'after',
      examples(
        'headwater-bridge start',
        'headwater-bridge start --config /etc/headwater/headwater-bridge.yaml',
      ),
    )
    .action(async (options) => done(await actions.start(options)))
}

function addReports(program: Command, actions: BridgeActions, done: (code: number) => void): void {
  reporting(located(program.command('status')))
    .description('how the running bridge is: broker, links, devices')
    .option('-w, --watch', 'show it again every second, until Ctrl-C', false)
    .option('--device <client id>', 'all that is known of this device', aClientId)
    .addHelpText(
      'after',
      examples(
        'headwater-bridge status',
        'headwater-bridge status --watch',
        'headwater-bridge status --device pump-7',
        'headwater-bridge status --json | jq .devices',
      ),
    )
    .action(async (options) => done(await actions.status(options)))
  reporting(program.command('ports'))
    .description('list the serial ports of this machine, by the names that stay their own')
    .addHelpText('after', examples('headwater-bridge ports', 'headwater-bridge ports --json'))
    .action(async (options) => done(await actions.ports(options)))
}

function aClientId(text: string): string {
  if (text === '') throw new InvalidArgumentError('it is empty.')
  return text
}
