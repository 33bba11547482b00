/**
 * Asks upstream where it stands, and decides what of the log goes there and from where on. A stream that is refused is left out, and the
 * others go on; where nothing is left, its error is the upstream's.
 */
import type { HeadwaterError, PartitionState } from '../broker/index.ts'
import { decideStart } from './checkpoint.ts'
import { openLanes } from './lanes.ts'
import type { RefusedStreams } from './refused-streams.ts'
import type { ReplicatorParts } from './replicator-parts.ts'
import { RoundBuilder } from './round-builder.ts'

export type RecoveryParts = Pick<
  ReplicatorParts,
  'upstream' | 'log' | 'selection' | 'courier' | 'standing' | 'refusals' | 'health' | 'sink'
>

/** @returns what gives the rounds from there on @throws UpstreamError */
export async function recover(parts: RecoveryParts): Promise<RoundBuilder> {
  const { log, courier, standing, refusals, health } = parts
  const { remembered } = standing
  const asked = toAsk(parts)
  const recovered = await courier.recover(log.identity, asked)
  // The log went on meanwhile; a position is compared with where it ends now.
  const current = standing.current(asked.filter(({ stream }) => !recovered.refused?.has(stream)))
  const start = await decideStart(log, current, recovered, remembered)
  standing.doubted(start.refused.keys())
  const refused = new Map([...(recovered.refused ?? []), ...start.refused])
  const { positions } = start
  if (positions.size === 0 && refused.size > 0) throw theOne(parts, refused)
  for (const [stream, error] of refused) refusals.refuse(stream, error)
  for (const warning of start.warnings) parts.sink.warn(`upstream ${parts.upstream.name}: ${warning}`)
  health.skipped(current, positions)
  standing.recovered(recovered, positions)
  await findLeftOut(parts)
  return new RoundBuilder(openLanes(log, parts.selection, positions), positions)
}

/** All but the streams that are left out; where that is nothing, those that may be tried. */
function toAsk({ standing, refusals }: RecoveryParts): PartitionState[] {
  const { wanted } = standing
  refusals.ask()
  if (wanted.every(({ stream }) => refusals.isOut(stream))) {
    refusals.hurry()
    refusals.ask()
  }
  return wanted.filter(({ stream }) => !refusals.isOut(stream))
}

/** Looks up how old what waits in the streams that are left out is. */
export async function findLeftOut({ log, standing, refusals, health }: RecoveryParts): Promise<void> {
  const out = standing.wanted.filter(({ stream }) => refusals.isOut(stream))
  health.oldestLeftOut = await health.findOldest(log, out, standing.done)
}

/** The error of an upstream that takes no stream: one that passes by itself, where there is one. */
function theOne({ refusals, standing }: RecoveryParts, refused: RefusedStreams): HeadwaterError {
  const errors = [...refused.values()]
  const one = errors.find(({ retryable }) => retryable) ?? errors[0]!
  const streams = new Set(standing.wanted.map(({ stream }) => stream))
  // Of a single stream there is nothing more to tell.
  if (streams.size > 1) for (const [stream, error] of refused) refusals.refuse(stream, error, error === one)
  return one
}
