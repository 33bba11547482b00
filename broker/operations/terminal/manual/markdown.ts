/** The same manual for docs/, as Markdown. */
import type { Command } from 'commander'
import { commandsOf, type ManualCommand, optionsOf, type ProgramFacts, type Term } from './description.ts'

export function manualMarkdown(program: Command, facts: ProgramFacts): string {
  const name = program.name()
  const commands = commandsOf(program)
  const lines = [
    `# ${name}`,
    '',
    program.description(),
    facts.configuration,
    '',
    '| command | |',
    '| --- | --- |',
    ...commands.map(
      ({ words, text }) => `| [\`${name} ${words}\`](#${anchor(`${name} ${words}`)}) | ${cell(text)} |`,
    ),
    '',
    ...section('Options', optionsOf(program)),
    ...commands.flatMap((command) => commandLines(name, command)),
    ...section(
      'Exit codes',
      facts.exitCodes.map(([code, meaning]) => ({ term: String(code), text: meaning })),
    ),
    ...section('Environment', pairs(facts.environment)),
    ...section('Files', pairs(facts.files)),
    `Made by \`${name} man --markdown\`.`,
  ]
  return `${lines.join('\n')}\n`
}

function pairs(all: readonly (readonly [string, string])[]): Term[] {
  return all.map(([term, text]) => ({ term, text }))
}

function commandLines(name: string, command: ManualCommand): string[] {
  const { words, usage, text, commandArguments, options, notes, examples } = command
  return [
    `## ${name} ${words}`,
    '',
    `\`${usage}\``,
    '',
    text,
    '',
    ...table([...commandArguments, ...options]),
    ...(notes.length > 0 ? ['```', ...notes, '```', ''] : []),
    ...(examples.length > 0 ? ['```sh', ...examples, '```', ''] : []),
  ]
}

function section(title: string, terms: readonly Term[]): string[] {
  return [`## ${title}`, '', ...table(terms)]
}

function table(terms: readonly Term[]): string[] {
  if (terms.length === 0) return []
  return [
    '| | |',
    '| --- | --- |',
    ...terms.map(({ term, text }) => `| \`${cell(term)}\` | ${cell(text)} |`),
    '',
  ]
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ')
}

/** As GitHub makes them. */
function anchor(title: string): string {
  return title
    .toLowerCase()
    .replace(/[^a-z0-9 -]/g, '')
    .replaceAll(' ', '-')
}
