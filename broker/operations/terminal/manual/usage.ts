/** What a person gets who did not hit the command line: one line, with the help of the command that was meant. */
import type { Command } from 'commander'

const HELP_OPTIONS = ['--help', '-h']

/**
 * As for every other error: one line. Call it once all commands are there.
 *
 * @param known what people try first that is no command here, with what to do in its place
 */
export function tellUsageErrors(program: Command, known: Readonly<Record<string, string>> = {}): void {
  program.configureOutput({
    outputError(text, write) {
      const line = text
        .trim()
        .replace(/^error: /, '')
        .replaceAll('\n', ' ')
      const word = /^unknown command '([^']*)'/.exec(line)?.[1]
      const isKnown = word !== undefined && Object.hasOwn(known, word)
      // what commander then says is meant is spelt alike, but something else
      const told = isKnown
        ? `unknown command '${word}' - ${known[word]}`
        : `${line} - ${wayOut(program, line)}`
      write(`${pathOf(program)[0]}: ${told}\n`)
    },
  })
  for (const command of program.commands) tellUsageErrors(command)
}

function wayOut(command: Command, line: string): string {
  const path = pathOf(command).join(' ')
  // Many programs have such options in front: here they stand behind the command.
  const option = /^unknown option '(--\w+)'/.exec(line)?.[1]
  const isOfOthers = command.commands.some(({ options }) => options.some(({ long }) => long === option))
  if (command.parent === null && isOfOthers)
    return `write it behind the command, as in ${path} status ${option}`
  return `see ${path} --help`
}

/**
 * `help sync verify` as `sync verify --help`, at any depth; and a command that is not there is not known with `--help` either, where
 * commander would print the help of what stands above it.
 */
export function askingForHelp(program: Command, words: readonly string[]): readonly string[] {
  const [first, ...others] = words
  const isHelp = (word: string) => HELP_OPTIONS.includes(word)
  if (first !== 'help' && !words.some(isHelp)) return words
  const path: string[] = []
  let command = program
  for (const word of first === 'help' ? others : words) {
    if (word.startsWith('-')) break
    const inner = command.commands.find((other) => other.name() === word)
    if (inner === undefined) {
      const takesWords = command.commands.length === 0 || command.registeredArguments.length > 0
      if (takesWords) break
      return [...path, word]
    }
    path.push(word)
    command = inner
  }
  return [...path, '--help']
}

function pathOf(command: Command): string[] {
  return command.parent === null ? [command.name()] : [...pathOf(command.parent), command.name()]
}
