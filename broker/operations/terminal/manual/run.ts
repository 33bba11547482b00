/** Prints a program's manual, as a page for man(1) or as Markdown. */
import type { Command } from 'commander'
import type { Output } from '../output.ts'
import type { ProgramFacts } from './description.ts'
import { manualMarkdown } from './markdown.ts'
import { manualPage, type PageHead } from './roff.ts'

export function runManual(
  out: Output,
  program: Command,
  facts: ProgramFacts,
  head: Omit<PageHead, 'date'>,
  isMarkdown: boolean,
): void {
  out.raw(isMarkdown ? manualMarkdown(program, facts) : manualPage(program, facts, { ...head, date: '' }))
}
