/** Where the log goes, and what comes down. */
import type { DownlinkStatus, UpstreamStatus } from '../api/types.ts'
import { useNow, useSnapshot, useSurroundings } from '../page/hooks.ts'
import { StateBadge } from '../parts/badge.tsx'
import { Fact, Figure, Figures } from '../parts/figure.tsx'
import { Prose } from '../parts/prose.tsx'
import { Empty } from '../parts/scroll.tsx'
import { ago, bytes, count, duration, exactTime, plural, rate } from '../text/units.ts'
import { visible } from '../text/visible.ts'
import { type LinkKind, type UpstreamCommand, upstreamCommand } from './commands.ts'
import { linkTexts } from './link-texts.ts'

export function Upstreams() {
  const { upstreams, downlinks } = useSnapshot()
  const now = useNow(2_000)
  return (
    <>
      {upstreams.length === 0 && (
        <section class="card">
          <h2>Upstreams</h2>
          <Empty>No upstream is configured: what is in the log stays on this device.</Empty>
        </section>
      )}
      {upstreams.map((upstream) => (
        <UpstreamCard key={upstream.name} upstream={upstream} now={now} />
      ))}
      {downlinks.map((downlink) => (
        <DownlinkCard key={downlink.name} downlink={downlink} now={now} />
      ))}
    </>
  )
}

function UpstreamCard({ upstream, now }: { upstream: UpstreamStatus; now: number }) {
  const isLate = upstream.lagRecords > 0
  return (
    <section class="card" aria-label={`Upstream ${visible(upstream.name)}`}>
      <header class="card-head">
        <h2>{visible(upstream.name)}</h2>
        <StateBadge state={upstream.state} />
        <span class="muted">{`for ${duration(now - upstream.since)}`}</span>
        <span class="muted address">{`${upstream.kind}, ${visible(upstream.address)}`}</span>
        <Buttons name={upstream.name} state={upstream.state} kind="upstream" />
      </header>
      <Figures>
        <Figure
          name="Lag"
          value={count(upstream.lagRecords)}
          more={`${bytes(upstream.lagBytes)} as stored`}
        />
        <Figure
          name="Oldest unsynced"
          value={upstream.lagSecondsOldest === null ? '\u2013' : duration(upstream.lagSecondsOldest * 1000)}
          more={isLate ? null : 'nothing waits'}
        />
        <Figure
          name="Time to drain"
          value={upstream.drainSeconds === null ? '\u2013' : duration(upstream.drainSeconds * 1000)}
          more={isLate && upstream.drainSeconds === null ? 'the lag does not shrink' : null}
        />
        <Figure
          name="Rate"
          value={rate(upstream.recordsPerSecond)}
          more={`${bytes(upstream.bytesPerSecond)}/s`}
        />
        <Figure
          name="Last acknowledgement"
          value={upstream.ackAgeSeconds === null ? 'none yet' : duration(upstream.ackAgeSeconds * 1000)}
          more={upstream.ackAgeSeconds === null ? null : 'ago'}
        />
        <Figure
          name="Sent since the start"
          value={count(upstream.sentRecords)}
          more={
            upstream.wireBytes === null
              ? bytes(upstream.sentBytes)
              : `${bytes(upstream.wireBytes)} over the link`
          }
        />
      </Figures>
      {upstream.lastError && (
        <Fault error={upstream.lastError} now={now} retryAt={upstream.retryAt} tries={upstream.tries} />
      )}
      {upstream.refused.map((refused) => (
        <div key={refused.stream} class="fault">
          <p>
            <b>{`It refuses ${visible(refused.stream)}: `}</b>
            {visible(refused.message)}
          </p>
          <p class="hint">
            <Prose text={refused.hint} />
          </p>
        </div>
      ))}
      <dl class="facts wide">
        {linkTexts(upstream, now).map(([name, text]) => (
          <Fact key={name} name={name}>
            {visible(text)}
          </Fact>
        ))}
      </dl>
    </section>
  )
}

function Buttons({ name, state, kind }: { name: string; state: string; kind: LinkKind }) {
  const { act, api, live } = useSurroundings()
  const button = (command: UpstreamCommand, text: string) => (
    <button
      type="button"
      aria-label={`${text} ${visible(name)}`}
      onClick={() => act(upstreamCommand({ api, live }, { name, kind }, command))}
    >
      {text}
    </button>
  )
  const isHalted = state === 'paused' || state === 'stopped'
  return (
    <div class="buttons">
      {isHalted ? button('resume', 'Resume') : button('pause', 'Pause')}
      {!isHalted && button('now', kind === 'upstream' ? 'Send now' : 'Try now')}
    </div>
  )
}

interface FaultProps {
  readonly error: NonNullable<UpstreamStatus['lastError']>
  readonly now: number
  readonly retryAt: number | null
  readonly tries: number
}

/** The last error stays here after things went well again, with its age. */
function Fault({ error, now, retryAt, tries }: FaultProps) {
  const retry = retryAt === null || tries === 0 ? '' : `, next try in ${duration(Math.max(0, retryAt - now))}`
  return (
    <div class={tries > 0 ? 'fault' : 'fault past'}>
      <p>
        <b>{tries > 0 ? `${plural(tries, 'failure')} in a row: ` : 'Last error: '}</b>
        {visible(error.message)}{' '}
        <span class="muted">
          <code>{visible(error.code)}</code> <time title={exactTime(error.at)}>{ago(error.at, now)}</time>
          {retry}
        </span>
      </p>
      {error.hint !== '' && (
        <p class="hint">
          <Prose text={error.hint} />
        </p>
      )}
    </div>
  )
}

function DownlinkCard({ downlink, now }: { downlink: DownlinkStatus; now: number }) {
  const passedOver = Object.entries(downlink.passedOver).filter(([, value]) => value > 0)
  return (
    <section class="card" aria-label={`Downlink ${visible(downlink.name)}`}>
      <header class="card-head">
        <h2>{visible(downlink.name)}</h2>
        <StateBadge state={downlink.state} />
        <span class="muted">{`for ${duration(now - downlink.since)}`}</span>
        <span class="muted address">{`downlink, topic ${visible(downlink.topic)} of ${visible(downlink.address)}`}</span>
        <Buttons name={downlink.name} state={downlink.state} kind="downlink" />
      </header>
      <Figures>
        <Figure
          name="Lag"
          value={count(downlink.lagRecords)}
          more={plural(downlink.partitions.length, 'partition')}
        />
        <Figure
          name="Delivered"
          value={count(downlink.delivered)}
          more={`last ${ago(downlink.lastDeliveredAt, now)}`}
        />
        <Figure
          name="Passed over"
          value={count(passedOver.reduce((sum, [, value]) => sum + value, 0))}
          more={passedOver.map(([reason, value]) => `${count(value)} ${visible(reason)}`).join(', ')}
        />
        <Figure
          name="Topic answered"
          value={
            downlink.answerAgeSeconds === null ? 'never' : `${duration(downlink.answerAgeSeconds * 1000)} ago`
          }
        />
        <Figure name="Unacknowledged" value={count(downlink.unacknowledged)} />
        <Figure name="Lost" value={count(downlink.lost)} isBad={downlink.lost > 0} />
      </Figures>
      {downlink.lastError && (
        <Fault error={downlink.lastError} now={now} retryAt={downlink.retryAt} tries={downlink.tries} />
      )}
    </section>
  )
}
