/** The latest value of each key of a stream. */
import { useEffect, useState } from 'preact/hooks'
import { errorText } from '../api/faults.ts'
import type { StreamReport } from '../api/types.ts'
import { useNow, useSnapshot, useSurroundings } from '../page/hooks.ts'
import { hrefOf } from '../page/route.ts'
import { RecordRow } from '../parts/record.tsx'
import { Empty } from '../parts/scroll.tsx'
import { PAGE_ROWS, type TablePage, tablePage } from '../state/table-pages.ts'
import { oneLine } from '../text/payload.ts'
import { count } from '../text/units.ts'
import { visible } from '../text/visible.ts'
import { TypedInput } from './tail-form.tsx'

export function Tables({ stream }: { stream: string | null }) {
  const { report } = useSnapshot()
  const streams = (report?.streams ?? []).filter(({ table }) => table !== undefined)
  const chosen = streams.find((one) => one.stream === stream) ?? streams[0]
  if (chosen === undefined) {
    return (
      <section class="card">
        <h2>Tables</h2>
        <Empty>
          No stream has a table. <code>table: true</code> at a stream keeps the latest value of each key.
        </Empty>
      </section>
    )
  }
  return <Table key={chosen.stream} stream={chosen} streams={streams} />
}

function Table({ stream, streams }: { stream: StreamReport; streams: readonly StreamReport[] }) {
  const now = useNow(30_000)
  const [prefix, setPrefix] = useState('')
  /** Where each page up to this one begins. */
  const [starts, setStarts] = useState<readonly (string | null)[]>([null])
  const { page, fault, isBusy, refresh } = usePage(stream.stream, prefix, starts.at(-1)!)
  const first = (starts.length - 1) * PAGE_ROWS
  return (
    <section class="card" aria-labelledby="table-title">
      <header class="card-head">
        <h2 id="table-title">Tables</h2>
        <span class="muted">{`${count(stream.table?.keys ?? 0)} keys, about`}</span>
        <div class="buttons">
          <button type="button" onClick={refresh} disabled={isBusy}>
            Refresh
          </button>
        </div>
      </header>
      <form class="controls" onSubmit={(event) => event.preventDefault()}>
        <label>
          Stream
          <select
            value={stream.stream}
            onChange={(event) => {
              location.hash = hrefOf('tables', event.currentTarget.value)
            }}
          >
            {streams.map((one) => (
              <option key={one.stream} value={one.stream}>
                {visible(one.stream)}
              </option>
            ))}
          </select>
        </label>
        <TypedInput
          name="Key begins with"
          value={prefix}
          onChange={(value) => {
            setPrefix(value)
            setStarts([null])
          }}
        />
      </form>
      {fault !== null && (
        <p class="fault" role="alert">
          {visible(fault)}
        </p>
      )}
      {page !== null && page.rows.length > 0 && (
        <ol class="records table" aria-label="Entries" start={first + 1}>
          {page.rows.map((row) => (
            <RecordRow key={keyOf(row.key)} record={row} now={now} title={oneLine(row.key)} />
          ))}
        </ol>
      )}
      {page?.rows.length === 0 && (
        <Empty>{prefix === '' ? 'The table is empty.' : 'No key begins so.'}</Empty>
      )}
      {page?.isCut && (
        <p class="muted">Further keys follow one that is no text; a search for their beginning shows them.</p>
      )}
      <nav class="pager" aria-label="Pages">
        <button
          type="button"
          disabled={starts.length === 1 || isBusy}
          onClick={() => setStarts(starts.slice(0, -1))}
        >
          Previous
        </button>
        <span role="status" class="muted">
          {page !== null &&
            page.rows.length > 0 &&
            `${count(first + 1)} to ${count(first + page.rows.length)}`}
        </span>
        <button
          type="button"
          disabled={page?.next == null || isBusy}
          onClick={() => setStarts([...starts, page!.next])}
        >
          Next
        </button>
      </nav>
    </section>
  )
}

function usePage(stream: string, prefix: string, after: string | null) {
  const { api } = useSurroundings()
  const [page, setPage] = useState<TablePage | null>(null)
  const [fault, setFault] = useState<string | null>(null)
  const [isBusy, setBusy] = useState(true)
  const [round, setRound] = useState(0)
  // A new round reads the same page again.
  useEffect(() => {
    const leave = new AbortController()
    setBusy(true)
    tablePage(api, stream, { prefix, after }, leave.signal)
      .then(
        (found) => {
          if (leave.signal.aborted) return
          setPage(found)
          setFault(null)
        },
        (error: unknown) => {
          if (!leave.signal.aborted) setFault(errorText(error))
        },
      )
      .finally(() => {
        if (!leave.signal.aborted) setBusy(false)
      })
    return () => leave.abort()
  }, [api, stream, prefix, after, round])
  return { page, fault, isBusy, refresh: () => setRound((last) => last + 1) }
}

function keyOf(key: StreamKey): string {
  return key === null ? '' : typeof key === 'string' ? `t${key}` : `b${key.base64}`
}

type StreamKey = TablePage['rows'][number]['key']
