/** Aligned columns, two spaces apart: numbers to the right, text to the left, nothing drawn. On a terminal they fit its width. */
import type { Output } from './output.ts'
import { cutTo, padTo, textWidth } from './width.ts'

export interface Column {
  readonly title: string
  readonly align?: 'left' | 'right'
  /** Words that mean something else when they are cut, such as a state. */
  readonly isWhole?: boolean
  /** Left out, from the last on, where others would have to be cut for it. */
  readonly isExtra?: boolean
}

const GAP = '  '
/** A column of text is not cut to less, or to less than its title. */
const COLUMN_MIN = 8
/** Of a column that may be left out, less would say nothing. */
const EXTRA_MIN = 10

/**
 * @param columnsMax of the terminal: the widest texts are cut until a line fits; without it all is there
 * @returns lines without trailing spaces; the first is the heading.
 */
export function tableLines(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  columnsMax = Number.POSITIVE_INFINITY,
): string[] {
  const natural = columns.map(({ title }, index) =>
    Math.max(textWidth(title), ...rows.map((row) => textWidth(row[index]!))),
  )
  const widths = fitted(columns, natural, columnsMax)
  const isCut = widths.some((width, index) => width < natural[index]! && columns[index]!.isExtra !== true)
  const extra =
    isCut || lineWidth(widths) > columnsMax ? columns.findLastIndex(({ isExtra }) => isExtra === true) : -1
  if (extra >= 0) {
    const without = <T>(list: readonly T[]) => list.filter((_, index) => index !== extra)
    return tableLines(without(columns), rows.map(without), columnsMax)
  }
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, index) =>
        padTo(cutTo(cell, widths[index]!), widths[index]!, columns[index]!.align ?? 'left'),
      )
      .join(GAP)
      .trimEnd()
  return [line(columns.map(({ title }) => title)), ...rows.map(line)]
}

/** Numbers are never cut: half of one is another one. */
function fitted(columns: readonly Column[], natural: readonly number[], columnsMax: number): number[] {
  const widths = [...natural]
  const least = columns.map(({ title, align, isWhole, isExtra }, index) =>
    align === 'right' || isWhole === true
      ? natural[index]!
      : Math.min(natural[index]!, Math.max(isExtra === true ? EXTRA_MIN : COLUMN_MIN, textWidth(title))),
  )
  let excess = lineWidth(widths) - columnsMax
  while (excess > 0) {
    const spare = widths.map((width, index) => width - least[index]!)
    const isAnyExtra = spare.some((left, index) => left > 0 && columns[index]!.isExtra === true)
    const room = spare.map((left, index) => (isAnyExtra && columns[index]!.isExtra !== true ? 0 : left))
    const widest = widths.reduce(
      (found, width, index) => (room[index]! > 0 && (found < 0 || width > widths[found]!) ? index : found),
      -1,
    )
    if (widest < 0) break
    widths[widest]!--
    excess--
  }
  return widths
}

function lineWidth(widths: readonly number[]): number {
  return widths.reduce((sum, width) => sum + width, 0) + GAP.length * (widths.length - 1)
}

export function printTable(
  out: Output,
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
): void {
  const [heading, ...lines] = tableLines(columns, rows, out.isTerminal ? out.columns : undefined)
  out.line(out.paint('dim', heading!))
  for (const line of lines) out.line(line)
}

/** "label   text" pairs, with the texts below one another. */
export function printFacts(out: Output, facts: readonly (readonly [label: string, text: string])[]): void {
  const widest = Math.max(...facts.map(([label]) => textWidth(label)))
  for (const [label, text] of facts) out.line(`${out.paint('dim', padTo(label, widest))}${GAP}${text}`)
}
