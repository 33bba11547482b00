/** A key or a value in full: the first part of it, and all of it when asked for. */
import { useMemo, useState } from 'preact/hooks'
import type { Base64 } from '../api/types.ts'
import { payloadOf, truncated } from '../text/payload.ts'
import { bytes } from '../text/units.ts'

const SHOWN_CHARS_MAX = 4_000

const KINDS = { none: 'tombstone', json: 'JSON', text: 'text', bytes: 'binary' } as const

export function PayloadBlock({ name, value }: { name: string; value: string | Base64 | null }) {
  const payload = useMemo(() => payloadOf(value), [value])
  const [isWhole, setWhole] = useState(false)
  const part = isWhole ? null : truncated(payload.text, SHOWN_CHARS_MAX)
  return (
    <div class="payload">
      <div class="payload-head">
        {name} <span class="muted">{`${KINDS[payload.kind]}, ${bytes(payload.bytes)}`}</span>
      </div>
      {payload.bytes > 0 && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached with the keyboard
        <pre tabIndex={0}>{part === null ? payload.text : `${part}\u2026`}</pre>
      )}
      {part !== null && (
        <button type="button" class="small" onClick={() => setWhole(true)}>
          {`show all ${bytes(payload.bytes)}`}
        </button>
      )}
    </div>
  )
}
