/** What the commands' declarations share. */
import { type Command, InvalidArgumentError } from 'commander'
import { markGroup } from '../terminal/manual/description.ts'

/** A command without a subcommand prints its help; that is a mistake, not an answer. */
export function group(command: Command): Command {
  markGroup(command)
  return command.action(() => command.help({ error: true }))
}

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
