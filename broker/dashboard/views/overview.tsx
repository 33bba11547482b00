/** The broker at a glance. */
import type { HistorySample } from '../api/types.ts'
import { Chart, type Series } from '../charts/chart.tsx'
import { useNow, useSnapshot, useStore, useSurroundings } from '../page/hooks.ts'
import { useSystemTheme } from '../page/system-theme.ts'
import { Figure, Figures } from '../parts/figure.tsx'
import type { Snapshot } from '../state/live.ts'
import { bytes, count, duration, milliseconds, plural, rate, short } from '../text/units.ts'
import { Alarms } from './alarms.tsx'
import { Device } from './device.tsx'
import { StreamSummary, UpstreamSummary } from './summaries.tsx'

const THROUGHPUT: readonly Series[] = [
  { field: 'messagesPerSecond', name: 'messages in', color: '--series-1' },
  { field: 'recordsPerSecond', name: 'records committed', color: '--series-2' },
]
const LATENCY: readonly Series[] = [
  { field: 'commitMsP50', name: 'p50', color: '--series-1' },
  { field: 'commitMsP99', name: 'p99', color: '--series-2' },
]
const VOLUME: readonly Series[] = [{ field: 'bytesPerSecond', name: 'bytes in', color: '--series-1' }]
const LAG: readonly Series[] = [{ field: 'lagRecords', name: 'records not upstream', color: '--series-3' }]

/** Where nothing was committed there is no latency. */
const latencyText = (ms: number | null) => (ms === null ? '\u2013' : milliseconds(ms))
const perSecond = (value: number) => `${short(value)}/s`
const bytesPerSecond = (value: number) => `${bytes(value)}/s`

export function Overview() {
  const snapshot = useSnapshot()
  const now = useNow(5_000)
  const theme = `${useStore(useSurroundings().theme)} ${useSystemTheme()}`
  const shared = { samples: snapshot.samples, intervalSeconds: snapshot.intervalSeconds, theme }
  return (
    <>
      <Summary snapshot={snapshot} sample={snapshot.samples.at(-1)} />
      <Alarms alarms={snapshot.alarms} now={now} />
      <div class="charts">
        <Chart title="Throughput" series={THROUGHPUT} format={perSecond} {...shared} />
        <Chart
          title="Commit latency"
          series={LATENCY}
          scaling="logarithmic"
          format={milliseconds}
          {...shared}
        />
        <Chart title="Volume" series={VOLUME} format={bytesPerSecond} {...shared} />
        <Chart title="Upstream lag" series={LAG} format={short} {...shared} />
      </div>
      <div class="columns">
        <UpstreamSummary upstreams={snapshot.upstreams} />
        <StreamSummary streams={snapshot.report?.streams ?? []} upstreams={snapshot.upstreams} />
      </div>
      <Device snapshot={snapshot} now={now} />
    </>
  )
}

/** Today's numbers; a dash until the first sample. */
function Summary({ snapshot, sample }: { snapshot: Snapshot; sample: HistorySample | undefined }) {
  const { report, upstreams, alarms } = snapshot
  const broker = report?.broker ?? null
  const of = (text: (sample: HistorySample) => string) => (sample === undefined ? '\u2013' : text(sample))
  const lag = upstreams.reduce((sum, { lagRecords }) => sum + lagRecords, 0)
  const lagBytes = upstreams.reduce((sum, upstream) => sum + upstream.lagBytes, 0)
  const space = broker?.log.space
  const isLogBad = broker !== null && broker.log.condition !== 'open'
  return (
    <section aria-label="Now">
      <Figures>
        <Figure
          name="Messages in"
          value={of(({ messagesPerSecond }) => rate(messagesPerSecond))}
          more={broker && `${count(broker.ingress.received)} in all`}
        />
        <Figure
          name="Records committed"
          value={of(({ recordsPerSecond }) => rate(recordsPerSecond))}
          more={of(({ bytesPerSecond: volume }) => bytesPerSecond(volume))}
        />
        <Figure
          name="Commit p99"
          value={of(({ commitMsP99 }) => latencyText(commitMsP99))}
          more={of(({ commitMsP50 }) => `p50 ${latencyText(commitMsP50)}`)}
        />
        <Figure
          name="Clients"
          value={broker === null ? '\u2013' : count(broker.mqtt.connections)}
          more={broker && `of at most ${count(broker.mqtt.connectionsMax)}`}
        />
        <Figure
          name="Not upstream yet"
          value={broker === null ? '\u2013' : count(lag)}
          more={
            upstreams.length === 0
              ? 'no upstream'
              : `${bytes(lagBytes)}, ${plural(upstreams.length, 'upstream')}`
          }
        />
        <Figure
          name="Disk free"
          value={space?.freeBytes == null ? '\u2013' : bytes(space.freeBytes)}
          more={space && `log ${bytes(space.usedBytes)}`}
          isBad={space?.isFull ?? false}
        />
        <Figure
          name="Memory"
          value={of(({ residentBytes }) => bytes(residentBytes))}
          more={broker && `up ${duration(Date.now() - broker.startedAt)}`}
        />
        <Figure
          name="Alarms"
          value={report === null ? '\u2013' : count(alarms.length)}
          more={broker && `log ${broker.log.condition}`}
          isBad={isLogBad || alarms.some(({ severity }) => severity === 'critical')}
        />
      </Figures>
    </section>
  )
}
