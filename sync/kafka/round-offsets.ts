/** What is written of where the log stands: with each round, into the edge's own group (checkpoints.ts reads it). */
import type { LogIdentity } from '../../broker/index.ts'
import { partProof } from '../proof.ts'
import type { Round, RoundPart } from '../upstream.ts'
import { encodeMetadata, encodePackedMetadata } from './checkpoint-metadata.ts'
import { type Owner, ownerOf } from './checkpoints.ts'
import { carriersOf } from './packed-positions.ts'
import { byStream, type Lane, type LastRecord, type Position, type Route } from './routes.ts'
import type { Session } from './session.ts'
import type { CommittedOffset } from './wire.ts'

/**
 * By key: only so many partitions of a topic are watched for lost records, from the first on. A commit is one batch of the group's
 * topic and tells of each about 300 bytes; Kafka takes 1 MB.
 */
export const WATCHED_LANES_MAX = 1000

/** What a round commits, and what to do once it has. */
export interface RoundOffsets {
  readonly offsets: readonly CommittedOffset[]
  committed(): void
}

/** One stream's part of it. */
interface StreamOffsets {
  readonly offsets: readonly CommittedOffset[]
  committed(): void
}

/**
 * The positions after a round, as they are committed with it.
 * @param isMarked its records say where they are from (hw.origin)
 */
export function roundOffsets(
  session: Session,
  identity: LogIdentity,
  round: Round,
  isMarked: boolean,
): RoundOffsets {
  const isTransactional = session.producer.transactionalId !== null
  const streams = [...byStream(round)].map(([stream, parts]) => {
    const route = session.routes.get(stream)!
    const owner = ownerOf(session, identity, stream, route.topicId)
    const { mapping } = route
    if (mapping.kind === 'identity') return singleOffsets(route, owner, parts)
    return packedOffsets(route, { ...owner, width: mapping.width }, parts, isMarked, isTransactional)
  })
  return {
    offsets: streams.flatMap(({ offsets }) => offsets),
    committed() {
      for (const { committed } of streams) committed()
      for (const part of round.parts) {
        for (const lane of session.routes.get(part.stream)!.lanes) lane.end = Math.max(lane.end, lane.at)
      }
    },
  }
}

function positionAfter(part: RoundPart): Position {
  return { next: part.nextOffset, proof: partProof(part) }
}

// -- by identity --------------------------------------------------------------------------------------------------------

function singleOffsets(
  { topic, lanes, positions }: Route,
  owner: Owner,
  parts: readonly RoundPart[],
): StreamOffsets {
  const after = parts.map((part) => {
    const position = positionAfter(part)
    const lane = lanes[part.partition]!
    return { lane, position, last: lastOf(lane, position) }
  })
  return {
    offsets: after.map(({ lane, position: { next, proof }, last }) => {
      const { at, epoch } = last ?? { at: -1, epoch: -1 }
      const metadata = encodeMetadata({ ...owner, proof, at, epoch })
      return { topic, partition: lane.partition, offset: next, metadata }
    }),
    committed() {
      for (const { lane, position, last } of after) {
        positions.set(lane.partition, position)
        lane.last = last
      }
    },
  }
}

/**
 * Where the last record of a lane stands after a round; one that moves a position alone leaves it. A rewind goes in front of it:
 * it says nothing of where the log stands any more.
 */
function lastOf({ at, leaderEpoch, last }: Lane, position: Position): LastRecord | null {
  if (at >= 0) return { at, epoch: leaderEpoch, position }
  return last?.position != null && position.next < last.position.next ? null : last
}

// -- by key -------------------------------------------------------------------------------------------------------------

/**
 * Of each carrier in which a part stands, all positions, because a committed offset replaces the one before; of each lane that was
 * written, where its last record stands. While lanes are behind (repair.ts): of all carriers and of those lanes, too.
 */
function packedOffsets(
  route: Route,
  owner: Owner & { readonly width: number },
  parts: readonly RoundPart[],
  isMarked: boolean,
  isTransactional: boolean,
): StreamOffsets {
  const { topic, partitions, lanes, repair } = route
  const { positions, passed } = positionsAfter(route, parts, isTransactional)
  const isOver = repair === null || repair.isOverWithout(passed)
  const carriers = carriersOf(partitions)
  const written = lanes.slice(0, WATCHED_LANES_MAX).filter(({ at }) => at >= 0)
  const told = new Set([...parts.map(({ partition }) => partition % carriers), ...partitionsOf(written)])
  if (repair !== null) {
    for (let carrier = 0; carrier < carriers; carrier++) told.add(carrier)
    for (const behind of repair.behind) told.add(behind)
  }
  const after = [...told].map((partition) => {
    const lane = lanes[partition]!
    // Without the header nobody could say later whether a record is still there.
    const last = lane.at >= 0 ? laneEnd(lane, isMarked) : lane.last
    return { lane, last, isBehind: isTransactional && !isOver && repair.isBehind(partition) }
  })
  return {
    offsets: after.map(({ lane, last, isBehind }) => {
      const { partition, sources } = lane
      const isCarried = ([local]: readonly [number, Position]) => local % carriers === partition
      const carried = new Map(partition < carriers ? [...positions].filter(isCarried) : [])
      const offset = [...carried.values()].reduce((sum, { next }) => sum + next, 0)
      const { at, epoch } = last ?? { at: -1, epoch: -1 }
      const metadata = { ...owner, positions: carried, at, epoch, sources, isBehind }
      return { topic, partition, offset, metadata: encodePackedMetadata(metadata) }
    }),
    committed() {
      for (const [local, position] of positions) route.positions.set(local, position)
      for (const { lane, last, isBehind } of after) {
        lane.last = last
        lane.isBehind = isBehind
      }
      for (const local of passed) repair?.passed(local)
      if (isOver) route.repair = null
    },
  }
}

function laneEnd({ at, leaderEpoch, partition }: Lane, isMarked: boolean): LastRecord | null {
  if (!isMarked || partition >= WATCHED_LANES_MAX) return null
  return { at, epoch: leaderEpoch, position: null }
}

function partitionsOf(lanes: readonly Lane[]): number[] {
  return lanes.map(({ partition }) => partition)
}

/** @returns also which local partitions are even after the round, or were moved by a person */
function positionsAfter(
  { positions: before, repair }: Route,
  parts: readonly RoundPart[],
  isTransactional: boolean,
): { positions: Map<number, Position>; passed: Set<number> } {
  const positions = new Map(before)
  const passed = new Set<number>()
  for (const part of parts) {
    const { partition, fromOffset, nextOffset } = part
    const high = repair?.high(partition)
    const isMoved = fromOffset === nextOffset
    if (high !== undefined && nextOffset < high && !isMoved) {
      // Marked: the position stays. Without transactions it follows, and what is repeated after a crash may be.
      if (!isTransactional) positions.set(partition, positionAfter(part))
      continue
    }
    positions.set(partition, positionAfter(part))
    passed.add(partition)
  }
  return { positions, passed }
}
