/** What a benchmark found: tables for people, rows for machines. */
import { cpus, loadavg, release, totalmem } from 'node:os'
import { VERSION } from '../../broker/index.ts'
import type { Output } from '../../broker/operations/terminal/output.ts'
import { type Column, printTable } from '../../broker/operations/terminal/table.ts'

/** A column of a table and how a row fills it. */
export interface Field<Row> extends Column {
  text(row: Row): string
}

export interface Section {
  readonly title: string
  readonly columns: readonly Column[]
  readonly cells: readonly (readonly string[])[]
  readonly rows: readonly object[]
}

/** Processes that wanted a core on average in the minute before this began. */
const loadBefore = loadavg()[0]!

export interface Report {
  readonly bench: string
  readonly options: object
  readonly sections: readonly Section[]
  /** What a reader has to know, a line each. */
  readonly notes: readonly string[]
}

export function section<Row extends object>(
  title: string,
  fields: readonly Field<Row>[],
  rows: readonly Row[],
): Section {
  return { title, columns: fields, cells: rows.map((row) => fields.map((field) => field.text(row))), rows }
}

export type Form = 'text' | 'json' | 'markdown'

export function printReport(out: Output, report: Report, form: Form): void {
  const { bench, options, sections, notes } = report
  if (form === 'json') {
    const tables = sections.map(({ title, rows }) => ({ title, rows }))
    out.json({ bench, version: VERSION, machine: machine(), options, tables, notes })
    return
  }
  const { cores, processor, memoryBytes, node } = machine()
  out.line(`${cores} x ${processor}, ${Math.round(memoryBytes / 2 ** 30)} GiB, Node ${node}`)
  for (const { title, columns, cells } of sections) {
    out.line()
    out.line(out.paint('bold', title))
    if (form === 'markdown') for (const line of markdownLines(columns, cells)) out.line(line)
    else printTable(out, columns, cells)
  }
  out.line()
  for (const note of notes) out.line(note)
  if (loadBefore > cores / 4) {
    out.line(
      `This machine was busy with something else (load ${loadBefore.toFixed(1)} on ${cores} cores before this`,
    )
    out.line('began): trust processor time and ratios, not rates and latencies.')
  }
}

/** For a page such as the README. */
export function markdownLines(columns: readonly Column[], cells: Section['cells']): string[] {
  const line = (texts: readonly string[]) => `| ${texts.join(' | ')} |`
  const rules = columns.map(({ align }) => (align === 'right' ? '---:' : '---'))
  return ['', line(columns.map(({ title }) => title)), line(rules), ...cells.map(line)]
}

function machine() {
  const cores = cpus()
  return {
    processor: cores[0]?.model.trim() ?? 'unknown processor',
    cores: cores.length,
    memoryBytes: totalmem(),
    loadBefore,
    kernel: release(),
    node: process.versions.node,
  }
}

// -- numbers as they stand in the tables --------------------------------------------------------------------------------

/** Thousands, in three digits: 1.23k, 45.6k, 789k. */
export function thousands(value: number): string {
  return `${significant(value / 1000)}k`
}

export function significant(value: number): string {
  if (!Number.isFinite(value)) return '-'
  if (value >= 99.95) return String(Math.round(value))
  return value.toFixed(value >= 9.995 ? 1 : 2)
}

export function times(value: number): string {
  return Number.isFinite(value) ? `${significant(value)}x` : '-'
}

export function megabytes(bytes: number): string {
  return Number.isFinite(bytes) ? String(Math.round(bytes / 1e6)) : '-'
}
