/** That the broker is away, since when, and when it is asked again. */
import { Icon } from '../parts/icon.tsx'
import type { Link } from '../state/live.ts'
import { duration } from '../text/units.ts'
import { visible } from '../text/visible.ts'
import { useNow } from './hooks.ts'

export function LinkBanner({ link, onRetry }: { link: Link; onRetry: () => void }) {
  return (
    <div class="banner-place" role="alert">
      {link.state === 'away' && <Away link={link} onRetry={onRetry} />}
    </div>
  )
}

function Away({ link, onRetry }: { link: Link & { state: 'away' }; onRetry: () => void }) {
  const now = useNow(1_000)
  const inMs = link.retryAt - now
  return (
    <div class="banner">
      <Icon name="warning" />
      <span>
        <b>{link.reason === '' ? 'The broker does not answer' : visible(link.reason)}</b>. Values are those of{' '}
        {duration(Math.max(0, now - link.since))} ago. {/* A countdown would be read out each second. */}
        <span aria-hidden="true">
          {inMs > 500 ? `Asked again in ${duration(inMs)}.` : 'Asking again \u2026'}
        </span>
      </span>
      <button type="button" onClick={onRetry}>
        Ask now
      </button>
    </div>
  )
}
