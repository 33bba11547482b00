/** What the commands' declarations share. */
import type { Command } from 'commander'

/** A command without a subcommand prints its help; that is a mistake, not an answer. */
export function group(command: Command): Command {
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
