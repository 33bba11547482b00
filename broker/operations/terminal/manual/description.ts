/** A program's commands as its manual needs them, read from the definition that parses the command line: they cannot differ. */
import type { EventEmitter } from 'node:events'
import type { Command } from 'commander'

/** What a command line's definition does not say; the rest of the help's end is made from it. */
export interface ProgramFacts {
  /** What becomes of `--config`, in one sentence. */
  readonly configuration: string
  readonly environment: readonly (readonly [name: string, meaning: string])[]
  readonly exitCodes: readonly (readonly [code: number, meaning: string])[]
  readonly files: readonly (readonly [path: string, meaning: string])[]
  readonly examples: readonly string[]
}

export interface Term {
  readonly term: string
  readonly text: string
}

export interface ManualCommand {
  /** `sync pause`; empty for the program itself. */
  readonly words: string
  /** `headwater sync pause [options] [upstream]` */
  readonly usage: string
  readonly text: string
  readonly commandArguments: readonly Term[]
  readonly options: readonly Term[]
  /** Other text of its help, as it stands there. */
  readonly notes: readonly string[]
  readonly examples: readonly string[]
}

/** The text below the options of `program --help`. */
export function helpOf(facts: ProgramFacts): string {
  const names = facts.environment.map(([name]) => name.length)
  const widest = Math.max(...names)
  return [
    '',
    facts.configuration,
    '',
    'Environment:',
    ...facts.environment.map(([name, meaning]) => `  ${name.padEnd(widest)}   ${meaning}`),
    '',
    'Exit codes:',
    ...facts.exitCodes.map(([code, meaning]) => `  ${code}  ${meaning}`),
    '',
    'Examples:',
    ...facts.examples.map((line) => `  ${line}`),
  ].join('\n')
}

/** Every command that does something, or has something to say, in the order of the help. */
export function commandsOf(program: Command): ManualCommand[] {
  return program.commands.flatMap((command) => [
    ...(isWorthTelling(command) ? [described(command)] : []),
    ...commandsOf(command),
  ])
}

/** Options of the program itself. */
export function optionsOf(command: Command): Term[] {
  const help = command.createHelp()
  return help
    .visibleOptions(command)
    .map((option) => ({ term: help.optionTerm(option), text: help.optionDescription(option) }))
}

/** Commands that only have others; marked as they are declared: see words.ts. */
const GROUPS = new WeakSet<Command>()

export function markGroup(command: Command): void {
  GROUPS.add(command)
}

function isWorthTelling(command: Command): boolean {
  return !GROUPS.has(command) || afterHelp(command).notes.length > 0
}

function described(command: Command): ManualCommand {
  const help = command.createHelp()
  const { notes, examples } = afterHelp(command)
  return {
    words: pathOf(command).slice(1).join(' '),
    usage: help.commandUsage(command).trim(),
    text: sentence(command.description()),
    commandArguments: help
      .visibleArguments(command)
      .map((argument) => ({ term: help.argumentTerm(argument), text: help.argumentDescription(argument) })),
    options: optionsOf(command).filter(({ term }) => !term.includes('--help')),
    notes,
    examples,
  }
}

/** Help has it as it is: lower case, without a full stop. */
function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`
}

function pathOf(command: Command): string[] {
  return command.parent === null ? [command.name()] : [...pathOf(command.parent), command.name()]
}

/** What `addHelpText` added: commander keeps it as listeners alone. */
function afterHelp(command: Command): { notes: string[]; examples: string[] } {
  let text = ''
  const context = { error: false, command, write: (piece: string) => (text += piece) }
  // an EventEmitter, which its types do not say
  ;(command as unknown as EventEmitter).emit('afterHelp', context)
  const lines = text.replace(/\n+$/, '').split('\n')
  const at = lines.findIndex((line) => /^Examples?:$/.test(line))
  const notes = (at < 0 ? lines : lines.slice(0, at)).join('\n').trim()
  return {
    notes: notes === '' ? [] : notes.split('\n'),
    examples:
      at < 0
        ? []
        : lines
            .slice(at + 1)
            .map((line) => line.trim())
            .filter(Boolean),
  }
}
