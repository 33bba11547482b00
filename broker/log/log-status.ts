/** How the log is, in numbers. */
import type { Chain } from './chain.ts'
import type { ChainCondition } from './chain-condition.ts'
import { countsOf, type LatencyCounts } from './commit-latency.ts'
import type { SpaceStatus } from './disk-space.ts'
import type { Janitor, RetentionStatus } from './janitor.ts'
import type { RecoveryCounters } from './recovery-counters.ts'

export interface LogStatus {
  readonly condition: ChainCondition['state']
  readonly reason: string | null
  readonly commits: number
  readonly records: number
  readonly bytes: number
  readonly failedCommits: number
  /** Records that were in them: of QoS 1 and 2 sent again by their clients, of QoS 0 gone unless the disk kept them. */
  readonly failedRecords: number
  readonly segments: number
  readonly storedBytes: number
  readonly admittedBytes: number
  /** How long appends have waited without a commit coming to its end, ms; in a chain that is open. */
  readonly waitingMs: number
  readonly commitMsP50: number
  readonly commitMsP99: number
  readonly commitMsMax: number
  /** Of all commits since the start. */
  readonly commitLatency: LatencyCounts
  readonly recovery: RecoveryCounters
  readonly space: SpaceStatus
  readonly retention: RetentionStatus
}

export function logStatus(
  chains: readonly Chain[],
  recovery: RecoveryCounters,
  janitor: Pick<Janitor, 'space' | 'status'>,
): LogStatus {
  const failed = chains.find((chain) => chain.condition.state !== 'open')?.condition
  const sum = (of: (chain: Chain) => number) => chains.reduce((total, chain) => total + of(chain), 0)
  const max = (of: (chain: Chain) => number) => Math.max(...chains.map(of))
  return {
    condition: failed?.state ?? 'open',
    reason: failed?.state === 'failed' ? failed.reason : null,
    commits: sum((chain) => chain.stats.commits),
    records: sum((chain) => chain.stats.records),
    bytes: sum((chain) => chain.stats.bytes),
    failedCommits: sum((chain) => chain.stats.failedCommits),
    failedRecords: sum((chain) => chain.stats.failedRecords),
    segments: sum((chain) => chain.segments.length),
    storedBytes: sum((chain) => chain.segments.reduce((total, segment) => total + segment.bytes, 0)),
    admittedBytes: sum((chain) => chain.admittedBytes),
    waitingMs: max((chain) => (chain.condition.state === 'open' ? chain.waitingMs : 0)),
    commitMsP50: max((chain) => chain.latency.quantile(0.5)),
    commitMsP99: max((chain) => chain.latency.quantile(0.99)),
    commitMsMax: max((chain) => chain.latency.maxMs),
    commitLatency: countsOf(chains.map(({ latency }) => latency)),
    recovery: { ...recovery },
    space: janitor.space.status(),
    retention: janitor.status(),
  }
}
