/**
 * Compares the edge's log with what one upstream holds. The end is fixed at the beginning: the position that upstream had
 * acknowledged then. Both sides are streamed, so that memory does not grow with the log.
 */
import { assert, type PartitionState, partitionKey } from '../../broker/index.ts'
import { PartitionAudit, type PartitionReport } from './partition-audit.ts'
import type { AuditedLog, AuditSource, RecordWish, Strangers } from './source.ts'

export interface VerifyRequest {
  /** By `partitionKey`: up to where upstream has acknowledged. A partition without one has not been sent. */
  readonly positions: ReadonlyMap<string, number>
  /** By `partitionKey`: these alone. */
  readonly only?: ReadonlySet<string>
  /** By `partitionKey`: where to begin; the log's start where it is not given. */
  readonly from?: ReadonlyMap<string, number>
  /** By stream, where this upstream has filters. */
  readonly wishOf?: (stream: string) => RecordWish | null
}

export interface AuditReport {
  readonly upstream: string
  readonly kind: string
  readonly address: string
  readonly partitions: readonly PartitionReport[]
  /** Records of others in the same places. */
  readonly strangers: Strangers
  /** Nothing is missing, duplicated, out of order, different or unknown. */
  readonly isWhole: boolean
}

export interface AuditProgress {
  readonly recordsDone: number
  readonly recordsTotal: number
}

/** @throws UpstreamError, and what the log throws */
export async function verifyUpstream(
  log: AuditedLog,
  source: AuditSource,
  request: VerifyRequest,
  onProgress: (progress: AuditProgress) => void,
  signal: AbortSignal,
): Promise<AuditReport> {
  const { only } = request
  const isWanted = ({ stream, partition }: PartitionState) =>
    only?.has(partitionKey(stream, partition)) ?? true
  const states = (await log.partitions()).filter(isWanted)
  const audits = new Map<string, PartitionAudit>()
  for (const state of states) {
    const key = partitionKey(state.stream, state.partition)
    const from = request.from?.get(key) ?? state.logStartOffset
    const position = request.positions.get(key) ?? 0
    audits.set(key, new PartitionAudit(log, state, from, position, request.wishOf?.(state.stream) ?? null))
  }
  // Of a stream of which nothing was sent there may not even be a topic.
  const sent = states.filter(({ stream, partition }) =>
    request.positions.has(partitionKey(stream, partition)),
  )
  const tell = () => onProgress(progressOf([...audits.values()]))
  tell()
  for await (const item of source.read(log.identity, sent, signal)) {
    signal.throwIfAborted()
    const audit = audits.get(partitionKey(item.stream, item.partition))
    assert(audit !== undefined, 'a source gives records of the partitions that it was asked for')
    if (item.kind === 'gap') audit.excuse(item)
    else await audit.take(item)
    tell()
  }
  signal.throwIfAborted()
  const durable = durableOffsets(await log.partitions())
  const partitions: PartitionReport[] = []
  for (const [key, audit] of audits) partitions.push(await audit.finish(durable.get(key) ?? 0))
  const { name, kind, address, strangers } = source
  const isWhole = partitions.every(isWholePartition)
  return { upstream: name, kind, address, partitions, strangers, isWhole }
}

function isWholePartition({ missing, duplicated, outOfOrder, different, unknown }: PartitionReport): boolean {
  return [missing, duplicated, outOfOrder, different, unknown].every(({ records }) => records === 0)
}

function durableOffsets(states: readonly PartitionState[]): Map<string, number> {
  return new Map(states.map((state) => [partitionKey(state.stream, state.partition), state.durableOffset]))
}

function progressOf(audits: readonly PartitionAudit[]): AuditProgress {
  return {
    recordsDone: audits.reduce((sum, { done }) => sum + done, 0),
    recordsTotal: audits.reduce((sum, { total }) => sum + total, 0),
  }
}
