/** What the tail shows. Choices count at once, texts a moment after the last letter. */
import { useEffect, useRef, useState } from 'preact/hooks'
import type { StreamReport } from '../api/types.ts'
import { hrefOf } from '../page/route.ts'
import type { TailRequest } from '../state/tail.ts'
import { visible } from '../text/visible.ts'

interface TailFormProps {
  readonly request: TailRequest
  readonly streams: readonly StreamReport[]
  readonly onChange: (request: TailRequest) => void
}

const TYPING_MS = 400

export function TailForm({ request, streams, onChange }: TailFormProps) {
  const stream = streams.find((one) => one.stream === request.stream)
  const isTime = request.from !== 'latest' && request.from !== 'earliest'
  const change = (part: Partial<TailRequest>) => onChange({ ...request, ...part })
  return (
    <form class="controls" onSubmit={(event) => event.preventDefault()}>
      <label>
        Stream
        <select
          value={request.stream}
          onChange={(event) => {
            const name = event.currentTarget.value
            onChange({ ...request, stream: name, partition: null })
            location.hash = hrefOf('tail', name)
          }}
        >
          {stream === undefined && <option value={request.stream}>{visible(request.stream)}</option>}
          {streams.map((one) => (
            <option key={one.stream} value={one.stream}>
              {visible(one.stream)}
            </option>
          ))}
        </select>
      </label>
      {(stream?.partitions.length ?? 0) > 1 && (
        <label>
          Partition
          <select
            value={request.partition ?? ''}
            onChange={({ currentTarget: { value } }) =>
              change({ partition: value === '' ? null : Number(value) })
            }
          >
            <option value="">all</option>
            {stream!.partitions.map(({ partition }) => (
              <option key={partition} value={partition}>
                {partition}
              </option>
            ))}
          </select>
        </label>
      )}
      <label>
        From
        <select
          value={isTime ? 'time' : request.from}
          onChange={({ currentTarget: { value } }) => change({ from: value === 'time' ? hourAgo() : value })}
        >
          <option value="latest">now</option>
          <option value="earliest">the earliest</option>
          <option value="time">a time</option>
        </select>
      </label>
      {isTime && (
        <label>
          Time
          <input
            type="datetime-local"
            step="1"
            value={localText(request.from)}
            onChange={({ currentTarget: { value } }) => {
              const at = new Date(value)
              if (!Number.isNaN(at.getTime())) change({ from: at.toISOString() })
            }}
          />
        </label>
      )}
      <TypedInput name="Topic or key" value={request.key} onChange={(key) => change({ key })} />
      <TypedInput name="Text" value={request.text} onChange={(text) => change({ text })} />
    </form>
  )
}

interface TypedInputProps {
  readonly name: string
  readonly value: string
  readonly onChange: (value: string) => void
}

/** Tells what was typed once no more is. */
export function TypedInput({ name, value, onChange }: TypedInputProps) {
  const [text, setText] = useState(value)
  const tell = useRef(onChange)
  tell.current = onChange
  useEffect(() => setText(value), [value])
  useEffect(() => {
    if (text === value) return
    const timer = setTimeout(() => tell.current(text), TYPING_MS)
    return () => clearTimeout(timer)
  }, [text, value])
  return (
    <label class="typed">
      {name}
      <input type="search" value={text} onInput={(event) => setText(event.currentTarget.value)} />
    </label>
  )
}

const HOUR_MS = 3_600_000

function hourAgo(): string {
  return new Date(Date.now() - HOUR_MS).toISOString()
}

/** As the field wants it: the local time without its zone. */
function localText(iso: string): string {
  const at = new Date(iso)
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 19)
}
