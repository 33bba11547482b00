/** Aligned columns, two spaces apart: numbers to the right, text to the left, nothing drawn. */
import type { Output } from './output.ts'

export interface Column {
  readonly title: string
  readonly align?: 'left' | 'right'
}

/** @returns lines without trailing spaces; the first is the heading. */
export function tableLines(columns: readonly Column[], rows: readonly (readonly string[])[]): string[] {
  const widths = columns.map(({ title }, index) =>
    Math.max(width(title), ...rows.map((row) => width(row[index]!))),
  )
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, index) => pad(cell, widths[index]!, columns[index]!.align ?? 'left'))
      .join('  ')
      .trimEnd()
  return [line(columns.map(({ title }) => title)), ...rows.map(line)]
}

export function printTable(
  out: Output,
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
): void {
  const [heading, ...lines] = tableLines(columns, rows)
  out.line(out.paint('dim', heading!))
  for (const line of lines) out.line(line)
}

/** "label   text" pairs, with the texts below one another. */
export function printFacts(out: Output, facts: readonly (readonly [label: string, text: string])[]): void {
  const widest = Math.max(...facts.map(([label]) => label.length))
  for (const [label, text] of facts) out.line(`${out.paint('dim', label.padEnd(widest))}  ${text}`)
}

/** Characters, not code units; wide characters of East Asian scripts are counted as one, which names here never have. */
function width(text: string): number {
  return [...text].length
}

function pad(text: string, to: number, align: 'left' | 'right'): string {
  const space = ' '.repeat(Math.max(0, to - width(text)))
  return align === 'right' ? space + text : text + space
}
