/** A sentence of the broker's, with what stands between backticks as something to type. */
import { visible } from '../text/visible.ts'

export function Prose({ text }: { text: string }) {
  const parts = visible(text).split('`')
  // A lone backtick is one.
  if (parts.length % 2 === 0) return <>{visible(text)}</>
  return <>{parts.map((part, i) => (i % 2 === 1 ? <code key={i}>{part}</code> : part))}</>
}
