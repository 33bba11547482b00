/** A stream as it is written, or from a place in its past. */
import { useEffect, useMemo, useState } from 'preact/hooks'
import type { StreamReport } from '../api/types.ts'
import { nextFrame, wait } from '../page/frame.ts'
import { useNow, useSnapshot, useStore, useSurroundings } from '../page/hooks.ts'
import { Badge, type Tone } from '../parts/badge.tsx'
import { RecordRow, titleOf } from '../parts/record.tsx'
import { Empty } from '../parts/scroll.tsx'
import { Tail, type TailRequest, type TailState } from '../state/tail.ts'
import { ROWS_MAX, type TailRow } from '../state/tail-rows.ts'
import { count, plural } from '../text/units.ts'
import { visible } from '../text/visible.ts'
import { TailForm } from './tail-form.tsx'

const WORDS: Readonly<Record<TailState['kind'], readonly [Tone, string]>> = {
  connecting: ['busy', 'asks the broker'],
  following: ['ok', 'following'],
  held: ['busy', 'more to come'],
  paused: ['warning', 'paused'],
  reconnecting: ['warning', 'waits for the broker'],
  failed: ['critical', 'ended'],
}

export function TailView({ stream }: { stream: string | null }) {
  const { report } = useSnapshot()
  const streams = report?.streams ?? []
  const [largest] = useState(() => largestOf(streams))
  const first = stream ?? largest
  const [changed, setChanged] = useState<TailRequest | null>(null)
  const request = useMemo((): TailRequest | null => {
    if (changed !== null && (stream === null || changed.stream === stream)) return changed
    return first === null ? null : { stream: first, partition: null, from: 'latest', key: '', text: '' }
  }, [changed, first, stream])
  if (request === null) {
    return (
      <section class="card">
        <h2>Tail</h2>
        <Empty>No stream yet.</Empty>
      </section>
    )
  }
  return <Following key={request.stream} request={request} streams={streams} onChange={setChanged} />
}

/** Something is to be seen there soonest. */
function largestOf(streams: readonly StreamReport[]): string | null {
  return streams.toSorted((a, b) => b.records - a.records)[0]?.stream ?? null
}

interface FollowingProps {
  readonly request: TailRequest
  readonly streams: readonly StreamReport[]
  readonly onChange: (request: TailRequest) => void
}

function Following({ request, streams, onChange }: FollowingProps) {
  const { api } = useSurroundings()
  const tail = useMemo(() => new Tail(request, { api, frame: nextFrame, wait }), [request, api])
  useEffect(() => {
    void tail.run()
    return () => tail.close()
  }, [tail])
  const { state, read, matched } = useStore(tail.view)
  const now = useNow(30_000)
  const [tone, word] = WORDS[state.kind]
  const isHalted = state.kind === 'paused' || state.kind === 'held'
  return (
    <section class="card" aria-labelledby="tail-title">
      <header class="card-head">
        <h2 id="tail-title">Tail</h2>
        <span role="status">
          <Badge tone={tone}>{word}</Badge>
        </span>
        <span class="muted">{countText(read, matched, request)}</span>
        <div class="buttons">
          <button type="button" onClick={() => (isHalted ? tail.resume() : tail.pause())}>
            {isHalted ? 'Continue' : 'Pause'}
          </button>
          <button type="button" onClick={() => tail.clear()}>
            Clear
          </button>
        </div>
      </header>
      <TailForm request={request} streams={streams} onChange={onChange} />
      {state.kind === 'failed' && (
        <p class="fault" role="alert">
          {visible(state.reason)}
        </p>
      )}
      <Rows rows={tail.rows.rows} isNewestFirst={request.from === 'latest'} now={now} />
      {tail.rows.rows.length === 0 && <Empty>{emptyText(request)}</Empty>}
      {tail.rows.dropped > 0 && (
        <p class="muted">{`Of what came, the newest ${ROWS_MAX} records at most are shown; ${count(tail.rows.dropped)} went.`}</p>
      )}
      {state.kind === 'held' && (
        <button type="button" class="primary" onClick={() => tail.resume()}>
          {`Next ${ROWS_MAX} records`}
        </button>
      )}
    </section>
  )
}

function Rows({
  rows,
  isNewestFirst,
  now,
}: {
  rows: readonly TailRow[]
  isNewestFirst: boolean
  now: number
}) {
  const ordered = isNewestFirst ? [...rows].reverse() : rows
  if (rows.length === 0) return null
  return (
    <ol class="records" aria-label="Records">
      {ordered.map((row) =>
        row.kind === 'record' ? (
          <RecordRow key={row.id} record={row.record} now={now} title={titleOf(row.record)} />
        ) : (
          <li key={row.id} class="record note">
            {visible(row.text)}
          </li>
        ),
      )}
    </ol>
  )
}

function hasFilter({ key, text }: TailRequest): boolean {
  return key.trim() !== '' || text.trim() !== ''
}

function countText(read: number, matched: number, request: TailRequest): string {
  return hasFilter(request) ? `${count(matched)} matching` : plural(read, 'record')
}

function emptyText(request: TailRequest): string {
  if (hasFilter(request)) return 'No record matches so far.'
  if (request.from === 'latest') return 'What is written from now on is shown here.'
  return 'Nothing there yet; what is written from now on is shown here.'
}
