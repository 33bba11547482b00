/** What declarations of commands share, of both programs. */
import { type Command, InvalidArgumentError } from 'commander'
import { closest, distance } from 'fastest-levenshtein'
import { markGroup } from './manual/description.ts'

/** The options by which a command finds its configuration and data. */
export interface Located {
  readonly config?: string | undefined
  readonly data?: string | undefined
}

export type Reporting = Located & { readonly json: boolean }

/** A command that only has others: without one of them, or with one that there is not, commander says so. */
export function group(command: Command): Command {
  markGroup(command)
  return command
}

/**
 * For a command that does something itself and has others below: a word behind it that is none of them is a mistake, and not an argument
 * too many.
 */
export function withOthers(command: Command): Command {
  return command.allowExcessArguments().hook('preAction', (_, acting) => {
    const [word] = acting.args
    if (acting !== command || word === undefined) return
    const nearest = closest(
      word,
      command.commands.map((each) => each.name()),
    )
    const isNear = distance(word, nearest) <= Math.max(word.length, nearest.length) * NEAR_SHARE
    const suggestion = isNear ? ` (Did you mean ${nearest}?)` : ''
    command.error(`error: unknown command '${word}'${suggestion}`, { code: 'commander.unknownCommand' })
  })
}

/** As commander has it: more than half of the letters are right. */
const NEAR_SHARE = 0.4

export function located(command: Command): Command {
  return command
    .option('-c, --config <file>', 'the configuration')
    .option('-d, --data <directory>', 'the data directory, in place of the configured one')
}

export function reporting(command: Command): Command {
  return command.option('--json', 'print JSON', false)
}

export function examples(...lines: string[]): string {
  return `\n${lines.length === 1 ? 'Example' : 'Examples'}:\n${lines.map((line) => `  ${line}`).join('\n')}`
}

export function wholeNumber(text: string): number {
  if (!/^[0-9]{1,15}$/.test(text)) throw new InvalidArgumentError('It is a whole number.')
  return Number(text)
}

export function positiveNumber(text: string): number {
  const number = wholeNumber(text)
  if (number === 0) throw new InvalidArgumentError('It is more than 0.')
  return number
}

/** With a fraction, if need be. */
export function seconds(text: string): number {
  const number = Number(text)
  if (!/^[0-9]{1,6}([.][0-9]{1,3})?$/.test(text) || number === 0) {
    throw new InvalidArgumentError('It is a number of seconds, more than 0.')
  }
  return number
}
