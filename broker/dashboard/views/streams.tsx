/** Streams with their partitions, what may go from them, and how far each upstream is behind. */
import { useState } from 'preact/hooks'
import type { StreamReport, UpstreamStatus } from '../api/types.ts'
import { useSnapshot, useSurroundings } from '../page/hooks.ts'
import { hrefOf } from '../page/route.ts'
import { Badge } from '../parts/badge.tsx'
import { Icon } from '../parts/icon.tsx'
import { Empty, ScrollTable } from '../parts/scroll.tsx'
import { bytes, count, duration } from '../text/units.ts'
import { visible } from '../text/visible.ts'
import { compaction } from './commands.ts'
import { lagOf } from './lag.ts'

export function Streams() {
  const { report, upstreams } = useSnapshot()
  const streams = report?.streams ?? []
  return (
    <section class="card" aria-labelledby="streams-title">
      <h2 id="streams-title">Streams</h2>
      {streams.length === 0 ? (
        <Empty>No stream yet.</Empty>
      ) : (
        <ScrollTable label="Streams and their partitions">
          <thead>
            <tr>
              <th scope="col">Stream</th>
              <th scope="col" class="number">
                Records
              </th>
              <th scope="col" class="number">
                Size
              </th>
              <th scope="col">Kept</th>
              <th scope="col" class="number">
                Partitions
              </th>
              {upstreams.map(({ name }) => (
                <th key={name} scope="col" class="number">{`Lag of ${visible(name)}`}</th>
              ))}
              <th scope="col">
                <span class="unseen">Actions</span>
              </th>
            </tr>
          </thead>
          {streams.map((stream) => (
            <StreamRows key={stream.stream} stream={stream} upstreams={upstreams} />
          ))}
        </ScrollTable>
      )}
    </section>
  )
}

interface StreamProps {
  readonly stream: StreamReport
  readonly upstreams: readonly UpstreamStatus[]
}

function StreamRows({ stream, upstreams }: StreamProps) {
  const [isOpen, setOpen] = useState(false)
  const { act, api, live } = useSurroundings()
  const name = visible(stream.stream)
  return (
    <tbody>
      <tr>
        <th scope="row" class="name" title={name}>
          <button type="button" class="opener" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
            <Icon name="chevron" />
            <span>{name}</span>
          </button>{' '}
          {stream.table && <TableBadge table={stream.table} />}
          {stream.droppedRecords > 0 && (
            <span class="under warn">{`${count(stream.droppedRecords)} records went before they were upstream`}</span>
          )}
        </th>
        <td class="number">{count(stream.records)}</td>
        <td class="number">{bytes(stream.bytes)}</td>
        <td>{keptText(stream)}</td>
        <td class="number">{stream.partitions.length}</td>
        {upstreams.map((upstream) => (
          <LagCell key={upstream.name} lag={lagOf(upstream, stream.stream)} />
        ))}
        <td class="row-actions">
          <a class="button small" href={hrefOf('tail', stream.stream)} aria-label={`Tail of ${name}`}>
            Tail
          </a>
          {stream.table && (
            <a class="button small" href={hrefOf('tables', stream.stream)} aria-label={`Table of ${name}`}>
              Table
            </a>
          )}
          {stream.isCompacted && (
            <button
              type="button"
              class="small"
              aria-label={`Compact ${name}`}
              onClick={() => act(compaction({ api, live }, stream.stream))}
            >
              Compact
            </button>
          )}
        </td>
      </tr>
      {isOpen &&
        stream.partitions.map((one) => (
          <PartitionRow key={one.partition} stream={stream} one={one} upstreams={upstreams} />
        ))}
    </tbody>
  )
}

function PartitionRow({ stream, one, upstreams }: StreamProps & { one: StreamReport['partitions'][number] }) {
  return (
    <tr class="partition">
      <th scope="row">{`partition ${one.partition}`}</th>
      <td class="number">{count(one.records)}</td>
      <td />
      <td colSpan={2}>{`offsets ${count(one.logStartOffset)} to ${count(one.durableOffset)}`}</td>
      {upstreams.map((upstream) => (
        <LagCell key={upstream.name} lag={lagOf(upstream, stream.stream, one.partition)} />
      ))}
      <td />
    </tr>
  )
}

function LagCell({ lag }: { lag: number | null }) {
  return <td class="number">{lag === null ? '\u2013' : count(lag)}</td>
}

function TableBadge({ table }: { table: NonNullable<StreamReport['table']> }) {
  if (table.state === 'current') return <Badge tone="quiet">{`table, ${count(table.keys)} keys`}</Badge>
  if (table.state === 'failed') return <Badge tone="critical">table failed</Badge>
  return <Badge tone="busy">{`table ${table.state} ${table.appliedPercent} %`}</Badge>
}

/** How long and how much, as the configuration has it. */
export function keptText({ policy, isCompacted }: StreamReport): string {
  if (policy === undefined) return isCompacted ? 'newest of each key' : '\u2013'
  const parts: string[] = []
  if (policy.compacts) parts.push('newest of each key')
  if (policy.deletes) {
    if (policy.retentionMs !== null) parts.push(duration(policy.retentionMs))
    if (policy.retentionBytes !== null) parts.push(bytes(policy.retentionBytes))
    if (policy.retentionMs === null && policy.retentionBytes === null) parts.push('while there is room')
  }
  if (parts.length === 0) parts.push('for ever')
  return parts.join(', ')
}
