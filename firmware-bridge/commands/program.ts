/** The words of `headwater-bridge`: commands, options, help. What they do comes in as `BridgeActions`. */
import { Argument, Command, CommanderError, InvalidArgumentError } from 'commander'
import { SHELLS, type Shell } from '../../broker/operations/terminal/completion/scripts.ts'
import { helpOf, markGroup, type ProgramFacts } from '../../broker/operations/terminal/manual/description.ts'
import { plainHelp } from '../../broker/operations/terminal/manual/plain-help.ts'
import { tellUsageErrors } from '../../broker/operations/terminal/manual/usage.ts'

export interface Located {
  readonly config?: string
  readonly data?: string
}

export type Reporting = Located & { readonly json: boolean }

/** Each resolves to the exit code. */
export interface BridgeActions {
  start(options: Located): Promise<number>
  init(file: string, options: { readonly force: boolean }): Promise<number>
  check(file: string | undefined, options: Reporting): Promise<number>
  show(key: string | undefined, options: Reporting & { readonly effective: boolean }): Promise<number>
  schema(file: string): Promise<number>
  migrate(file: string | undefined, options: Reporting & { readonly dryRun: boolean }): Promise<number>
  status(options: Reporting & { readonly watch: boolean; readonly device?: string }): Promise<number>
  ports(options: { readonly json: boolean }): Promise<number>
  completion(shell: Shell): Promise<number>
  man(program: Command, options: { readonly markdown: boolean }): Promise<number>
}

/** @param done gets the exit code of the command that ran. */
export function buildBridgeProgram(
  version: string,
  actions: BridgeActions,
  done: (code: number) => void,
): Command {
  const program = new Command('headwater-bridge')
    .description(
      'Brings microcontrollers without MQTT to an MQTT broker: serial ports and UDP, exactly once.',
    )
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand('help [command...]', 'print help of a command')
    .configureHelp(plainHelp)
    .showSuggestionAfterError()
    .exitOverride()
    .addHelpText('after', helpOf(BRIDGE_FACTS))
  addStart(program, actions, done)
  addConfiguration(program, actions, done)
  addReports(program, actions, done)
  addTools(program, actions, done)
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

function located(command: Command): Command {
  return command
    .option('-c, --config <file>', 'the configuration')
    .option('-d, --data <directory>', 'the data directory, in place of the configured one')
}

function reporting(command: Command): Command {
  return command.option('--json', 'print JSON', false)
}

function examples(...lines: string[]): string {
  return `\n${lines.length === 1 ? 'Example' : 'Examples'}:\n${lines.map((line) => `  ${line}`).join('\n')}`
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

function addConfiguration(program: Command, actions: BridgeActions, done: (code: number) => void): void {
  program
    .command('init')
    .description('write a configuration with every key explained')
    .argument('[file]', 'where to; - is standard output', 'headwater-bridge.yaml')
    .option('--force', 'replace the file if it exists', false)
    .addHelpText('after', examples('headwater-bridge init', 'headwater-bridge init - | less'))
    .action(async (file, options) => done(await actions.init(file, options)))
  const config = program.command('config').description('the configuration')
  markGroup(config)
  reporting(located(config.command('check')))
    .description('tell what is wrong with the configuration, by line and column')
    .argument('[file]', 'the configuration; the same as --config')
    .addHelpText(
      'after',
      examples('headwater-bridge config check', 'headwater-bridge config check bridge.yaml --json'),
    )
    .action(async (file, options) => done(await actions.check(file, options)))
  addShow(config, actions, done)
}

function addShow(config: Command, actions: BridgeActions, done: (code: number) => void): void {
  reporting(located(config.command('show')))
    .description('print what is set, each value with the file and line, or the variable, that it comes from')
    .argument('[key]', 'this key alone, and what is below it')
    .option('-e, --effective', 'also the defaults: all that counts', false)
    .addHelpText(
      'after',
      examples(
        'headwater-bridge config show',
        'headwater-bridge config show broker',
        'headwater-bridge config show --effective --json | jq .config.broker',
      ),
    )
    .action(async (key, options) => done(await actions.show(key, options)))
  config
    .command('schema')
    .description('print the JSON Schema of the file, for completion in editors')
    .argument('[file]', 'where to; - is standard output', '-')
    .addHelpText('after', examples('headwater-bridge config schema headwater-bridge.schema.json'))
    .action(async (file) => done(await actions.schema(file)))
  reporting(located(config.command('migrate')))
    .description('write a file of an older version anew, after a backup beside it')
    .argument('[file]', 'the configuration; the same as --config')
    .option('--dry-run', 'tell what it would change, and write nothing', false)
    .addHelpText(
      'after',
      examples('headwater-bridge config migrate --dry-run', 'headwater-bridge config migrate'),
    )
    .action(async (file, options) => done(await actions.migrate(file, options)))
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

function addTools(program: Command, actions: BridgeActions, done: (code: number) => void): void {
  program
    .command('completion')
    .description('print a script by which a shell completes commands and options')
    .addArgument(new Argument('<shell>', 'for which shell').choices([...SHELLS]))
    .addHelpText('after', examples("echo 'source <(headwater-bridge completion bash)' >> ~/.bashrc"))
    .action(async (shell) => done(await actions.completion(shell)))
  program
    .command('man')
    .description('print the manual page of this program')
    .option('--markdown', 'as Markdown', false)
    .addHelpText('after', examples('headwater-bridge man | man -l -'))
    .action(async (options) => done(await actions.man(program, options)))
}

function aClientId(text: string): string {
  if (text === '') throw new InvalidArgumentError('it is empty.')
  return text
}

/** @returns null for what is no mistake on the command line; help and version are none either, and end with 0 */
export function bridgeUsageExitCode(error: unknown): number | null {
  if (!(error instanceof CommanderError)) return null
  return error.exitCode === 0 ? 0 : 2
}
