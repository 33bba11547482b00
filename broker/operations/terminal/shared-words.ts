/** The words of the command line that are those of every program of ours. */
import { Argument, Command, CommanderError } from 'commander'
import { SHELLS, type Shell } from './completion/scripts.ts'
import { helpOf, type ProgramFacts } from './manual/description.ts'
import { plainHelp } from './manual/plain-help.ts'
import { examples } from './words.ts'

export type Done = (code: number) => void

/** Each resolves to the exit code. */
export interface SharedActions {
  init(file: string, options: { readonly force: boolean }): Promise<number>
  completion(shell: Shell): Promise<number>
  man(program: Command, options: { readonly markdown: boolean }): Promise<number>
}

/** Without commands so far. @param description one sentence */
export function newProgram(name: string, description: string, version: string, facts: ProgramFacts): Command {
  return new Command(name)
    .description(description)
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .configureHelp(plainHelp)
    .showSuggestionAfterError()
    .exitOverride()
    .addHelpText('after', helpOf(facts))
}

export function addInit(program: Command, actions: SharedActions, done: Done): void {
  const name = program.name()
  program
    .command('init')
    .description('write a configuration with every key explained')
    .argument('[file]', 'where to; - is standard output', `${name}.yaml`)
    .option('--force', 'replace the file if it exists', false)
    .addHelpText('after', examples(`${name} init`, `${name} init - | less`))
    .action(async (file, options) => done(await actions.init(file, options)))
}

/** @param completed what a shell completes @param more ways to keep its script, and the manual */
export function addShell(
  program: Command,
  actions: SharedActions,
  done: Done,
  completed: string,
  more: { readonly scripts: readonly string[]; readonly manuals: readonly string[] } = {
    scripts: [],
    manuals: [],
  },
): void {
  const name = program.name()
  program
    .command('completion')
    .description(`print a script by which a shell completes ${completed}`)
    .addArgument(new Argument('<shell>', 'for which shell').choices([...SHELLS]))
    .addHelpText('after', examples(`echo 'source <(${name} completion bash)' >> ~/.bashrc`, ...more.scripts))
    .action(async (shell) => done(await actions.completion(shell)))
  program
    .command('man')
    .description('print the manual page of this program')
    .option('--markdown', 'as Markdown', false)
    .addHelpText('after', examples(`${name} man | man -l -`, ...more.manuals))
    .action(async (options) => done(await actions.man(program, options)))
}

/** @returns null for what is no mistake on the command line; help and version are none either, and end with 0 */
export function usageExitCode(error: unknown): number | null {
  if (!(error instanceof CommanderError)) return null
  return error.exitCode === 0 ? 0 : 2
}
