/** A number with its name, for a row of them. */
import type { ComponentChildren } from 'preact'

interface FigureProps {
  readonly name: string
  readonly value: string
  /** Below it, smaller. */
  readonly more?: string | null | undefined
  readonly isBad?: boolean
}

export function Figure({ name, value, more = null, isBad = false }: FigureProps) {
  return (
    <div class={isBad ? 'figure bad' : 'figure'}>
      <dt>{name}</dt>
      <dd>
        <span class="value">{value}</span>
        {more && <span class="more">{more}</span>}
      </dd>
    </div>
  )
}

export function Figures({ children }: { children: ComponentChildren }) {
  return <dl class="figures">{children}</dl>
}

/** A line of facts. */
export function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div class="fact">
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  )
}
