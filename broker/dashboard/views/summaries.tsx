/** Upstreams and streams in a line each, for the first view. */
import type { StreamReport, UpstreamStatus } from '../api/types.ts'
import { hrefOf } from '../page/route.ts'
import { StateBadge } from '../parts/badge.tsx'
import { Empty, ScrollTable } from '../parts/scroll.tsx'
import { bytes, count, duration, rate } from '../text/units.ts'
import { visible } from '../text/visible.ts'
import { lagOf } from './lag.ts'

export function UpstreamSummary({ upstreams }: { upstreams: readonly UpstreamStatus[] }) {
  return (
    <section class="card">
      <h2>
        <a href={hrefOf('upstreams')}>Upstreams</a>
      </h2>
      {upstreams.length === 0 ? (
        <Empty>No upstream is configured: what is in the log stays on this device.</Empty>
      ) : (
        <ScrollTable label="Upstreams">
          <thead>
            <tr>
              <th scope="col">Name</th>
              <th scope="col">State</th>
              <th scope="col" class="number">
                Lag
              </th>
              <th scope="col" class="number">
                Rate
              </th>
              <th scope="col" class="number">
                Drained in
              </th>
            </tr>
          </thead>
          <tbody>
            {upstreams.map((upstream) => (
              <tr key={upstream.name}>
                <th scope="row" class="name" title={visible(upstream.name)}>
                  {visible(upstream.name)}
                </th>
                <td>
                  <StateBadge state={upstream.state} />
                </td>
                <td class="number">{count(upstream.lagRecords)}</td>
                <td class="number">{rate(upstream.recordsPerSecond)}</td>
                <td class="number">
                  {upstream.drainSeconds === null ? '\u2013' : duration(upstream.drainSeconds * 1000)}
                </td>
              </tr>
            ))}
          </tbody>
        </ScrollTable>
      )}
    </section>
  )
}

interface StreamSummaryProps {
  readonly streams: readonly StreamReport[]
  readonly upstreams: readonly UpstreamStatus[]
}

const SHOWN_MAX = 8

export function StreamSummary({ streams, upstreams }: StreamSummaryProps) {
  const largest = [...streams].sort((a, b) => b.bytes - a.bytes).slice(0, SHOWN_MAX)
  const left = streams.length - largest.length
  return (
    <section class="card">
      <h2>
        <a href={hrefOf('streams')}>Streams</a>
      </h2>
      {streams.length === 0 ? (
        <Empty>No stream yet.</Empty>
      ) : (
        <ScrollTable label="Streams">
          <thead>
            <tr>
              <th scope="col">Name</th>
              <th scope="col" class="number">
                Records
              </th>
              <th scope="col" class="number">
                Size
              </th>
              <th scope="col" class="number">
                Lag
              </th>
            </tr>
          </thead>
          <tbody>
            {largest.map((stream) => (
              <tr key={stream.stream}>
                <th scope="row" class="name" title={visible(stream.stream)}>
                  <a href={hrefOf('tail', stream.stream)}>{visible(stream.stream)}</a>
                </th>
                <td class="number">{count(stream.records)}</td>
                <td class="number">{bytes(stream.bytes)}</td>
                <td class="number">{lagText(stream.stream, upstreams)}</td>
              </tr>
            ))}
          </tbody>
        </ScrollTable>
      )}
      {left > 0 && (
        <p class="muted">
          and <a href={hrefOf('streams')}>{`${count(left)} smaller ones`}</a>
        </p>
      )}
    </section>
  )
}

/** Of the upstream that is furthest behind. */
function lagText(stream: string, upstreams: readonly UpstreamStatus[]): string {
  const lags = upstreams.map((upstream) => lagOf(upstream, stream)).filter((lag) => lag !== null)
  return lags.length === 0 ? '\u2013' : count(Math.max(...lags))
}
