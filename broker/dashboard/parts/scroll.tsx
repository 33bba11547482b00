/** A table that is wider than a phone scrolls in its own place, also with the keyboard. */
import type { ComponentChildren } from 'preact'

export function ScrollTable({ label, children }: { label: string; children: ComponentChildren }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached with the keyboard
    <section class="scroll" aria-label={label} tabIndex={0}>
      <table>{children}</table>
    </section>
  )
}

/** Where there is nothing to show: what would make it otherwise. */
export function Empty({ children }: { children: ComponentChildren }) {
  return <p class="empty">{children}</p>
}
