/** What can stand at the end of a command line, by the definition that parses it. Pure: names that a broker knows are asked for by others. */
import type { Argument, Command, Option } from 'commander'

export interface Suggestion {
  readonly word: string
  readonly text: string
}

export type Suggested =
  | { readonly kind: 'words'; readonly words: readonly Suggestion[] }
  | { readonly kind: 'files' }
  | { readonly kind: 'directories' }
  /** Names of what a running broker has. */
  | { readonly kind: 'names'; readonly of: NamesOf }

export type NamesOf = 'stream' | 'upstream' | 'client'

export interface TypedLine {
  readonly suggested: Suggested
  /** Values of `--config` and `--data`, as far as they were typed: where to ask. */
  readonly located: { readonly config?: string; readonly data?: string }
}

/** By the name of an argument, or of an option's value. */
const KINDS: Readonly<Record<string, Suggested>> = {
  file: { kind: 'files' },
  directory: { kind: 'directories' },
  stream: { kind: 'names', of: 'stream' },
  upstream: { kind: 'names', of: 'upstream' },
  client: { kind: 'names', of: 'client' },
  place: { kind: 'words', words: [word('earliest'), word('latest')] },
}
/** Options whose value has a general name. */
const OPTION_KINDS: Readonly<Record<string, Suggested>> = {
  '--stream': KINDS.stream!,
}
const NOTHING: Suggested = { kind: 'words', words: [] }

/**
 * @param words after the program's name; the last one is what is being typed, and may be empty
 */
export function suggest(program: Command, words: readonly string[]): TypedLine {
  const typed = words.slice(0, -1)
  const current = words.at(-1) ?? ''
  let command = program
  let positionals = 0
  let waiting: Option | null = null
  let isPositionalOnly = false
  const located: { config?: string; data?: string } = {}
  for (const each of typed) {
    if (waiting !== null) {
      note(located, waiting, each)
      waiting = null
    } else if (each === '--') isPositionalOnly = true
    else if (!isPositionalOnly && each.startsWith('-')) {
      const [flag, value] = each.split(/=(.*)/s)
      const option = optionOf(command, flag!)
      if (option === undefined) continue
      if (value !== undefined) note(located, option, value)
      else if (option.required) waiting = option
    } else {
      const inner = positionals === 0 ? command.commands.find((known) => known.name() === each) : undefined
      if (inner === undefined) positionals++
      else command = inner
    }
  }
  if (waiting !== null) return { suggested: ofValue(waiting), located }
  if (!isPositionalOnly && current.startsWith('-')) {
    return { suggested: { kind: 'words', words: optionWords(command, typed) }, located }
  }
  return { suggested: ofPositional(command, positionals), located }
}

function word(text: string): Suggestion {
  return { word: text, text: '' }
}

function note(located: { config?: string; data?: string }, option: Option, value: string): void {
  if (option.long === '--config') located.config = value
  if (option.long === '--data') located.data = value
}

function optionOf(command: Command, flag: string): Option | undefined {
  return visibleOptions(command).find(({ long, short }) => long === flag || short === flag)
}

function visibleOptions(command: Command): Option[] {
  return [...command.createHelp().visibleOptions(command)]
}

/** Those that were given already are left out; short ones are known by those who use them. */
function optionWords(command: Command, typed: readonly string[]): Suggestion[] {
  return visibleOptions(command)
    .filter(({ long, short }) => !typed.includes(long ?? '') && !typed.includes(short ?? ''))
    .map(({ long, short, description }) => ({ word: long ?? short!, text: description }))
}

function ofValue(option: Option): Suggested {
  if (option.argChoices !== undefined) return { kind: 'words', words: option.argChoices.map(word) }
  const name = /[<[]([a-z ]+)[>\]]/.exec(option.flags)?.[1] ?? ''
  return OPTION_KINDS[option.long ?? ''] ?? KINDS[name] ?? NOTHING
}

function ofPositional(command: Command, positionals: number): Suggested {
  const argument = command.registeredArguments[positionals] ?? variadic(command.registeredArguments)
  if (argument !== undefined) return ofArgument(argument)
  if (positionals > 0) return NOTHING
  const help = command.createHelp()
  const words = help
    .visibleCommands(command)
    .filter((inner) => command.commands.includes(inner))
    .map((inner) => ({ word: inner.name(), text: help.subcommandDescription(inner) }))
  return { kind: 'words', words }
}

function variadic(all: readonly Argument[]): Argument | undefined {
  const last = all.at(-1)
  return last?.variadic === true ? last : undefined
}

function ofArgument(argument: Argument): Suggested {
  if (argument.argChoices !== undefined) return { kind: 'words', words: argument.argChoices.map(word) }
  return KINDS[argument.name()] ?? NOTHING
}
