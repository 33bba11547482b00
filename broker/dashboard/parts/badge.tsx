/** A state in one word. Its colour says nothing that the word does not. */

export type Tone = 'ok' | 'busy' | 'quiet' | 'warning' | 'critical'

export function Badge({ tone, children }: { tone: Tone; children: string }) {
  return <span class={`badge ${tone}`}>{children}</span>
}

/** Of upstreams and downlinks. */
const TONES: Readonly<Record<string, Tone>> = {
  idle: 'ok',
  reading: 'ok',
  sending: 'ok',
  connecting: 'busy',
  recovering: 'busy',
  held: 'quiet',
  paused: 'warning',
  backoff: 'warning',
  stopped: 'critical',
  closed: 'quiet',
}

export function StateBadge({ state }: { state: string }) {
  return <Badge tone={TONES[state] ?? 'quiet'}>{state}</Badge>
}
