/** A record as a line that opens. */
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import type { RecordJson } from '../api/types.ts'
import { oneLine } from '../text/payload.ts'
import { exactTime, timeText } from '../text/units.ts'
import { visible } from '../text/visible.ts'
import { PayloadBlock } from './payload.tsx'

interface RecordRowProps {
  readonly record: RecordJson
  readonly now: number
  /** What stands in front of the value. */
  readonly title: string
}

export function RecordRow({ record, now, title }: RecordRowProps) {
  const [isOpen, setOpen] = useState(false)
  const at = Date.parse(record.timestamp)
  return (
    <li class="record">
      <details onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary>
          <time dateTime={record.timestamp}>{timeText(at, now)}</time>
          <span class="record-title">{title}</span>
          <span class="record-value">
            {record.value === null ? <em>tombstone</em> : oneLine(record.value)}
          </span>
        </summary>
        {isOpen && <RecordBody record={record} at={at} />}
      </details>
    </li>
  )
}

function RecordBody({ record, at }: { record: RecordJson; at: number }) {
  const { clock, topic, headers } = record
  return (
    <div class="record-body">
      <dl class="facts">
        <Line name="place">{`${visible(record.stream)} / ${record.partition}, offset ${record.offset}`}</Line>
        <Line name="time">{Number.isNaN(at) ? record.timestamp : exactTime(at)}</Line>
        {clock && (
          <Line name="clock">
            {clock.correctedTimestamp === undefined
              ? clock.trust
              : `${clock.trust}; corrected: ${exactTime(Date.parse(clock.correctedTimestamp))}`}
          </Line>
        )}
        {topic !== null && <Line name="topic">{visible(topic)}</Line>}
      </dl>
      {record.key !== topic && record.key !== null && <PayloadBlock name="key" value={record.key} />}
      <PayloadBlock name="value" value={record.value} />
      {headers.map((header, i) => (
        <PayloadBlock key={i} name={`header ${visible(header.key)}`} value={header.value} />
      ))}
    </div>
  )
}

function Line({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div class="fact">
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  )
}

/** The topic, or else the key. */
export function titleOf({ topic, key }: RecordJson): string {
  return topic === null ? oneLine(key) : visible(topic)
}
