import { expect, it } from 'vitest'
import type { RecordJson } from '../../../../broker/dashboard/api/types.ts'
import { PAGE_ROWS, tablePage } from '../../../../broker/dashboard/state/table-pages.ts'

const signal = new AbortController().signal

/** A table in the order of its keys, asked as the broker is. */
function apiOf(keys: readonly RecordJson['key'][]) {
  async function* lines(_method: string, _path: string, query: Record<string, unknown>) {
    const start = query.after === null ? 0 : keys.indexOf(query.after as string) + 1
    yield keys.slice(start, start + (query.count as number)).map((key) => ({ key }) as RecordJson)
  }
  return { lines: lines as never }
}

it('pages follow one another without a key left out or shown twice, and the last one says that it is', async () => {
  const keys = Array.from({ length: PAGE_ROWS * 2 }, (_, i) => `key ${String(i).padStart(4, '0')}`)
  const seen: unknown[] = []
  const sizes: number[] = []
  for (let after: string | null = null; ; ) {
    const page = await tablePage(apiOf(keys), 'events', { prefix: '', after }, signal)
    seen.push(...page.rows.map(({ key }) => key))
    sizes.push(page.rows.length)
    after = page.next
    if (after === null) break
  }
  expect(seen).toEqual(keys)
  expect(sizes).toEqual([PAGE_ROWS, PAGE_ROWS])
})

it('a page that ends with a key that is no text says that there is more', async () => {
  const keys = Array.from({ length: PAGE_ROWS + 1 }, (_, i) => ({ base64: `AA${i}` }))
  const page = await tablePage(apiOf(keys), 'events', { prefix: '', after: null }, signal)
  expect([page.rows.length, page.next, page.isCut]).toEqual([PAGE_ROWS, null, true])
})
