/** The metrics: what the catalogue has is served, and nothing else. */
import { describe, expect, it } from 'vitest'
import { METRICS, type MetricName } from '../../../../broker/operations/metrics/catalogue.ts'
import { processFacts } from '../../../../broker/operations/metrics/process-facts.ts'
import { type MetricsReport, metricsReport } from '../../../../broker/operations/metrics/report.ts'
import { PARTITION_SERIES_MAX } from '../../../../broker/operations/metrics/samples.ts'
import { metricsText } from '../../../../broker/operations/metrics/text.ts'
import type { StreamReport } from '../../../../broker/operations/operations.ts'
import { checkMetrics, hasPromtool } from '../../../support/promtool.ts'
import { FakeLog, fakeOperations, fakeStatus } from '../fake-log.ts'
import { fakeDownlink, fakeUpstream } from '../fake-sync.ts'

function stream(name: string, partitions: number, more: Partial<StreamReport> = {}): StreamReport {
  return {
    stream: name,
    records: 5,
    bytes: 500,
    droppedRecords: 1,
    isCompacted: false,
    partitions: Array.from({ length: partitions }, (_, partition) => ({
      partition,
      logStartOffset: 10,
      durableOffset: 15,
      records: 5,
    })),
    ...more,
  }
}

const listenerTls = {
  listener: 'mqtts://[::]:8883',
  certFile: '/crt',
  keyFile: '/key',
  clientCaFile: '/ca',
  certificate: { until: 1.8e12, isDue: false },
  clientAuthority: { until: 1.9e12, isDue: false },
  fault: null,
}

/** Everything that can have a value has one. */
function fullReport(more: Partial<MetricsReport> = {}): MetricsReport {
  const { log } = fakeStatus
  return {
    now: 1.7e12,
    broker: {
      ...fakeStatus,
      mqtt: { ...fakeStatus.mqtt, tls: [listenerTls] },
      log: {
        ...log,
        space: { ...log.space, bytesMax: 1e9 },
        retention: { ...log.retention, evictedBytes: { events: 7 } },
      },
    },
    streams: [
      stream('events', 2, {
        table: {
          stream: 'events',
          state: 'current',
          reason: null,
          appliedPercent: 100,
          lagRecords: 0,
          keys: 3,
          bytes: 300,
          rebuilds: 0,
          unkeyed: 0,
          misplaced: 0,
        },
      }),
    ],
    upstreams: [
      fakeUpstream({ name: 'central', state: 'backoff', certificate: { until: 1.8e12, isDue: false } }),
    ],
    downlinks: [fakeDownlink({ name: 'commands', passedOver: { 'too large': 2 } })],
    alarms: [
      {
        id: 'disk-full',
        severity: 'critical',
        subject: 'disk',
        summary: 'full',
        hint: 'free some',
        since: 1,
      },
    ],
    wear: { writtenBytes: 1e6, bytesPerSecond: 100, enduranceBytes: 1e12, lifeSeconds: 1e10 },
    process: {
      residentBytes: 6e7,
      heapBytes: 1e7,
      cpuSeconds: 1.5,
      openFiles: 30,
      openFilesMax: 1024,
      loopActiveSeconds: 2.5,
      memoryBytesMax: 2e8,
      writtenBytes: 1e6,
    },
    ...more,
  }
}

interface Series {
  readonly name: string
  readonly labels: string[]
  readonly value: number
}

function seriesOf(text: string): Series[] {
  return text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const [, name, labels = '', value] = /^([a-z_0-9]+)(?:\{(.*)\})? (.+)$/.exec(line)!
      return {
        name: name!,
        labels: [...labels.matchAll(/([a-z_]+)="/g)].map(([, label]) => label!),
        value: Number(value),
      }
    })
}

const seriesValue = (text: string, line: string): number =>
  Number(new RegExp(`^${line.replaceAll(/[{}+]/g, '\\$&')} (.*)$`, 'm').exec(text)?.[1])

describe('the metrics', () => {
  it('are those of the catalogue, each with its type, help and labels', () => {
    const text = metricsText(fullReport())
    const types = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => [name, type])
    expect(types).toEqual(Object.entries(METRICS).map(([name, { type }]) => [name, type]))
    const helps = [...text.matchAll(/^# HELP (\S+) (.*)$/gm)].map(([, name, help]) => [name, help])
    expect(helps).toEqual(Object.entries(METRICS).map(([name, { help }]) => [name, help]))
    for (const { name, labels } of seriesOf(text)) {
      const family = name.replace(/_(bucket|sum|count)$/, '')
      const metric = METRICS[(name in METRICS ? name : family) as MetricName]
      const own = metric.type === 'histogram' && name.endsWith('_bucket') ? ['le'] : metric.labels
      expect([name, labels]).toEqual([name, own])
    }
  })

  it('have names that end as their types and units do', () => {
    for (const [name, { type, help }] of Object.entries(METRICS)) {
      expect(name).toMatch(/^(headwater_|process_|nodejs_)[a-z0-9_]+$/)
      expect([name, name.endsWith('_total')]).toEqual([name, type === 'counter'])
      expect(name).not.toMatch(/_(ms|milliseconds|kb|mb|percent)(_|$)/)
      expect(help).toMatch(/\.$/)
    }
  })

  it('say what the status says, in base units', () => {
    const text = metricsText(fullReport())
    expect(seriesValue(text, 'headwater_messages_received_total')).toBe(7)
    expect(seriesValue(text, 'headwater_log_end_offset{stream="events",partition="1"}')).toBe(15)
    expect(seriesValue(text, 'headwater_stream_appended_records_total{stream="events"}')).toBe(30)
    expect(seriesValue(text, 'headwater_upstream_state{upstream="central",state="backoff"}')).toBe(1)
    expect(seriesValue(text, 'headwater_upstream_state{upstream="central",state="idle"}')).toBe(0)
    expect(
      seriesValue(text, 'headwater_upstream_certificate_expiry_timestamp_seconds{upstream="central"}'),
    ).toBe(1.8e9)
    expect(seriesValue(text, 'headwater_alarms{severity="critical"}')).toBe(1)
    expect(seriesValue(text, 'headwater_alarms{severity="info"}')).toBe(0)
    // of 0.5, 2 and 3.15 ms
    expect(seriesValue(text, 'headwater_commit_duration_seconds_bucket{le="0.0005"}')).toBe(1)
    expect(seriesValue(text, 'headwater_commit_duration_seconds_bucket{le="0.0025"}')).toBe(2)
    expect(seriesValue(text, 'headwater_commit_duration_seconds_bucket{le="+Inf"}')).toBe(3)
    expect(seriesValue(text, 'headwater_commit_duration_seconds_sum')).toBe(0.0055)
  })

  it('begin at 0, so that their first growth is seen', () => {
    const text = metricsText(fullReport({ streams: [stream('events', 1), stream('other', 1)] }))
    expect(seriesValue(text, 'headwater_evicted_bytes_total{stream="events"}')).toBe(7)
    expect(seriesValue(text, 'headwater_evicted_bytes_total{stream="other"}')).toBe(0)
  })

  it('have a help that is understood alone', () => {
    const helps = Object.values(METRICS).map(({ help }) => help)
    expect(
      helps.filter((help) => /^(Their|Those|The same|limits\.|log\.)|\b(in|of|with) them\b/.test(help)),
    ).toEqual([])
    expect(helps.filter((help, index) => helps.indexOf(help) !== index)).toEqual([])
  })

  it('leave out what nobody knows', () => {
    const text = metricsText(metricsReport(fakeOperations(new FakeLog({ events: 1 }))))
    expect(text).not.toMatch(/null|undefined|NaN/)
    expect(text).not.toContain('headwater_card_life_seconds')
    expect(text).not.toContain('headwater_upstream_')
  })

  it('have a limit, however many partitions there are', () => {
    const text = metricsText(fullReport({ streams: [stream('a', 600), stream('b', 600)] }))
    const ends = seriesOf(text).filter(({ name }) => name === 'headwater_log_end_offset')
    expect(ends).toHaveLength(PARTITION_SERIES_MAX)
    expect(seriesValue(text, 'headwater_partitions')).toBe(1200)
    expect(seriesValue(text, 'headwater_stream_records{stream="b"}')).toBe(5)
  })

  it.skipIf(!hasPromtool)('please promtool', () => {
    expect(checkMetrics(metricsText(fullReport()))).toBe('')
  })
})

it.runIf(process.platform === 'linux')('this process has been given memory, time and files', () => {
  const facts = processFacts()
  expect(facts.residentBytes).toBeGreaterThan(1e7)
  expect(facts.cpuSeconds).toBeGreaterThan(0)
  expect(facts.openFiles).toBeGreaterThan(2)
  expect(facts.openFilesMax).toBeGreaterThan(facts.openFiles!)
  expect(facts.loopActiveSeconds).toBeGreaterThan(0)
  expect(facts.writtenBytes).toBeGreaterThanOrEqual(0)
})
