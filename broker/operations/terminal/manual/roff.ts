/** A manual page, man(7), of a program: what `man headwater` shows where it is installed. */
import type { Command } from 'commander'
import { commandsOf, type ManualCommand, optionsOf, type ProgramFacts, type Term } from './description.ts'

export interface PageHead {
  readonly version: string
  /** YYYY-MM-DD; empty leaves it out, so that the same program gives the same page. */
  readonly date: string
  readonly seeAlso: readonly string[]
}

export function manualPage(
  program: Command,
  facts: ProgramFacts,
  { version, date, seeAlso }: PageHead,
): string {
  const name = program.name()
  const lines = [
    `.TH ${name.toUpperCase().replaceAll('-', '\\-')} 1 ${quoted(date)} ${quoted(`${name} ${version}`)}`,
    '.SH NAME',
    `${escaped(name)} \\- ${escaped(nameLine(program.description()))}`,
    '.SH SYNOPSIS',
    `.B ${escaped(name)}`,
    '.I command',
    '[options] [arguments]',
    '.SH DESCRIPTION',
    text(program.description()),
    '.PP',
    text(facts.configuration),
    '.SH OPTIONS',
    ...terms(optionsOf(program)),
    '.SH COMMANDS',
    ...commandsOf(program).flatMap(commandLines),
    '.SH EXIT STATUS',
    ...terms(facts.exitCodes.map(([code, meaning]) => ({ term: String(code), text: meaning }))),
    '.SH ENVIRONMENT',
    ...terms(facts.environment.map(([term, meaning]) => ({ term, text: meaning }))),
    '.SH FILES',
    ...terms(facts.files.map(([term, meaning]) => ({ term, text: meaning }))),
    '.SH EXAMPLES',
    ...code(facts.examples),
    '.SH SEE ALSO',
    seeAlso.map((page) => `.BR ${escaped(page)} (1)`).join(' ,\n'),
  ]
  return `${lines.join('\n')}\n`
}

/** One line without its full stop, as whatis(1) wants it. */
function nameLine(description: string): string {
  return description.replace(/\.$/, '').replace(/\n/g, ' ')
}

function commandLines({
  usage,
  text: what,
  commandArguments,
  options,
  notes,
  examples,
}: ManualCommand): string[] {
  return [
    `.SS ${quoted(usage)}`,
    text(what),
    ...terms([...commandArguments, ...options]),
    ...(notes.length > 0 ? code(notes) : []),
    ...(examples.length > 0
      ? ['.PP', examples.length === 1 ? 'Example:' : 'Examples:', ...code(examples)]
      : []),
  ]
}

function terms(all: readonly Term[]): string[] {
  return all.flatMap(({ term, text: what }) => ['.TP', `.B ${escaped(term)}`, text(what)])
}

function code(lines: readonly string[]): string[] {
  return ['.PP', '.RS 4', '.nf', ...lines.map((line) => text(line)), '.fi', '.RE']
}

/** A line of text: a full stop or an apostrophe at its beginning would be a request. */
function text(line: string): string {
  const safe = escaped(line)
  return /^[.']/.test(safe) ? `\\&${safe}` : safe
}

function escaped(line: string): string {
  return line
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll("'", '\\(aq')
    .replaceAll('`', '\\(ga')
    .replaceAll('"', '\\(dq')
    .replaceAll('^', '\\(ha')
    .replaceAll('~', '\\(ti')
    .replace(
      /[^\x20-\x7e]/gu,
      (character) => `\\[u${character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}]`,
    )
}

function quoted(argument: string): string {
  return `"${escaped(argument)}"`
}
