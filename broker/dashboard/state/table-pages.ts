/** A table, a page at a time, in the order of its keys. */
import { type Api, segment } from '../api/api.ts'
import type { GapJson, RecordJson } from '../api/types.ts'

export const PAGE_ROWS = 50

export interface TablePage {
  readonly rows: readonly RecordJson[]
  /** Where the next page begins; null where this is the last one. */
  readonly next: string | null
  /** There is more, but the last key is no text: the API has no way to name it. */
  readonly isCut: boolean
}

/**
 * @param prefix of the keys; empty is all
 * @param after above this key; null is from the first one
 */
export async function tablePage(
  api: Pick<Api, 'lines'>,
  stream: string,
  { prefix, after }: { prefix: string; after: string | null },
  signal: AbortSignal,
): Promise<TablePage> {
  const rows: RecordJson[] = []
  // One more than is shown tells whether there is a next page.
  const query = { prefix, after, count: PAGE_ROWS + 1 }
  const path = `api/v1/streams/${segment(stream)}/table`
  for await (const lines of api.lines<RecordJson | GapJson>('GET', path, query, signal)) {
    for (const line of lines) if (!('gap' in line)) rows.push(line)
  }
  const shown = rows.slice(0, PAGE_ROWS)
  if (rows.length <= PAGE_ROWS) return { rows: shown, next: null, isCut: false }
  const { key } = shown.at(-1)!
  return typeof key === 'string'
    ? { rows: shown, next: key, isCut: false }
    : { rows: shown, next: null, isCut: true }
}
