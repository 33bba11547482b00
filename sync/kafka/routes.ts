/**
 * Which partitions of a topic a stream's partitions go to.
 *
 *   identity  partition to partition; what is used where both have as many
 *   key       each record where Kafka's clients put its key, over the first `width` partitions of the topic
 *
 * The first checkpoint fixes it: with another mapping, or another width, a key would move to another partition, and whoever
 * reads could see its newer records before its older ones. A topic that is given more partitions later keeps
 * its mapping; the new partitions stay empty of this edge's records until its group is deleted.
 */
import type { LogIdentity } from '../../broker/index.ts'
import { PartitionMismatchError } from '../errors.ts'
import { originPrefix } from '../origin-header.ts'
import { Splicer, type SpliceSource } from '../splice.ts'
import type { Round, RoundPart } from '../upstream.ts'
import { KeySplitter } from './key-split.ts'
import { carriersOf } from './packed-positions.ts'
import type { Repair } from './repair.ts'
import { type BrokerNode, type ClusterInfo, WireAnswerError } from './wire.ts'

export type Partitioning = 'auto' | 'identity' | 'key'

export type Mapping = { readonly kind: 'identity' } | { readonly kind: 'key'; readonly width: number }

/** The last acknowledged record of a lane: where it stands in the topic. */
export interface LastRecord {
  readonly at: number
  readonly epoch: number
  /** The checkpoint behind it; null by key, where it may be of any partition of the stream. */
  readonly position: Position | null
}

/** A partition of a topic, as this edge writes it. */
export interface Lane {
  readonly stream: string
  readonly topic: string
  readonly topicId: string
  readonly partition: number
  leader: BrokerNode
  leaderEpoch: number
  /** The next batch's base sequence; sequences begin at 0 with each epoch. */
  sequence: number
  /** The cluster has taken a batch of this producer there: from then on it knows a gap in the sequences. */
  isKnown: boolean
  /** The topic's offset of the last record that the round under way wrote there; -1 before the first. */
  at: number
  /** The stream's partitions whose records can stand there, by the beginning of their hw.origin. */
  readonly origins: ReadonlyMap<string, number>
  /** By key: those whose records do. */
  readonly sources: Set<number>
  /** Of the stream, by its partition, as last committed. */
  readonly positions: ReadonlyMap<number, Position>
  /** As committed; null where nothing is known. */
  last: LastRecord | null
  /** As committed: it lacks records below positions that are uneven (repair.ts). */
  isBehind: boolean
  /** The topic's offset of the last record known to be committed there; -1 where none is. What is written now stands behind it. */
  end: number
}

/** Where a local partition stands upstream, and the proof of it (proof.ts). */
export interface Position {
  readonly next: number
  readonly proof: number | null
  /** Some lanes lack records below it (repair.ts). */
  readonly isUneven?: true
}

export interface Route {
  readonly stream: string
  readonly topic: string
  readonly topicId: string
  /** Of the stream. */
  readonly partitions: number
  readonly mapping: Mapping
  /** By the topic's partition. */
  readonly lanes: readonly Lane[]
  /** By the stream's partition, as last committed. */
  readonly positions: Map<number, Position>
  readonly splitter: KeySplitter
  /** While some lanes lack records that others have. */
  repair: Repair | null
}

/** What a topic has, and what was agreed with it before. */
export interface RouteFacts {
  readonly stream: string
  readonly topic: string
  readonly partitions: number
  readonly topicPartitions: number
  /** What the checkpoint says; null when there is none. */
  readonly recorded: Mapping | null
}

/** @throws PartitionMismatchError */
export function chooseMapping(partitioning: Partitioning, facts: RouteFacts, bootstrap: string): Mapping {
  const { stream, topic, partitions, topicPartitions, recorded } = facts
  const mismatch = (hint: string) =>
    new PartitionMismatchError(stream, partitions, topic, topicPartitions, hint).of(stream)
  const alter = (count: number) =>
    `kafka-topics.sh --bootstrap-server ${bootstrap} --alter --topic ${topic} --partitions ${count}`
  if (recorded !== null) {
    if (partitioning !== 'auto' && partitioning !== recorded.kind) {
      throw mismatch(
        `records of this edge stand there by ${recorded.kind}; take partitioning out of this upstream's configuration`,
      )
    }
    return recorded
  }
  if (partitioning === 'identity' || (partitioning === 'auto' && topicPartitions === partitions)) {
    if (topicPartitions >= partitions) return { kind: 'identity' }
    throw mismatch(`give the topic as many: ${alter(partitions)}; or set partitioning: key`)
  }
  const carriers = carriersOf(partitions)
  if (topicPartitions < carriers) {
    throw mismatch(`the positions of so many need ${carriers} partitions to stand in: ${alter(carriers)}`)
  }
  return { kind: 'key', width: topicPartitions }
}

export function openRoute(
  facts: RouteFacts,
  mapping: Mapping,
  cluster: ClusterInfo,
  identity: LogIdentity,
): Route {
  const { stream, topic, partitions } = facts
  const width = mapping.kind === 'key' ? mapping.width : partitions
  const lanes: Lane[] = []
  const positions = new Map<number, Position>()
  const prefixes = Array.from(
    { length: partitions },
    (_, p) => [originPrefix(identity, stream, p), p] as const,
  )
  const all = new Map(prefixes)
  for (let partition = 0; partition < width; partition++) {
    const { topicId, leader, leaderEpoch } = findLeader(cluster, topic, partition)
    const origins = mapping.kind === 'identity' ? new Map([prefixes[partition]!]) : all
    const place = { stream, topic, topicId, partition, origins, positions, sources: new Set<number>() }
    const nothing = { sequence: 0, isKnown: false, at: -1, last: null, isBehind: false, end: -1 }
    lanes.push({ ...place, ...nothing, leader, leaderEpoch })
  }
  const topicId = cluster.topics.get(topic)!.topicId
  const splitter = new KeySplitter()
  return { stream, topic, topicId, partitions, mapping, lanes, positions, splitter, repair: null }
}

export function findLeader(cluster: ClusterInfo, topic: string, partition: number) {
  const info = cluster.topics.get(topic)
  const found = info?.partitions.find((candidate) => candidate.partition === partition)
  const leader = cluster.nodes.get(found?.leader ?? -1)
  if (info === undefined || found === undefined || leader === undefined) {
    throw new WireAnswerError('LEADER_NOT_AVAILABLE', `Metadata of ${topic}/${partition}`, undefined, topic)
  }
  return { topicId: info.topicId, leader, leaderEpoch: found.leaderEpoch }
}

/** What goes to one partition of a topic in a round. */
export interface Work {
  readonly lane: Lane
  readonly splicer: Splicer
}

/**
 * Shares a round out among the partitions of its topics.
 * @param identity for the provenance header; null for none
 * @param from the first offset of a part that is still to be sent to a lane
 */
export function planWork(
  routes: ReadonlyMap<string, Route>,
  round: Round,
  identity: LogIdentity | null,
  from: (part: RoundPart, lane: Lane) => number = (part) => part.fromOffset,
): Work[] {
  const sources = new Map<Lane, SpliceSource[]>()
  const add = (lane: Lane, part: RoundPart, repair: Repair | null) => {
    // All of it is left out: only the position moves.
    if (part.batches.length === 0) return
    const origin = identity === null ? null : originPrefix(identity, part.stream, part.partition)
    const lacks = repair?.from(part.partition, lane.partition) ?? 0
    const fromOffset = Math.max(part.fromOffset, from(part, lane), lacks)
    if (fromOffset >= part.nextOffset) return
    lane.sources.add(part.partition)
    const source = { part: fromOffset === part.fromOffset ? part : { ...part, fromOffset }, origin }
    const known = sources.get(lane)
    if (known === undefined) sources.set(lane, [source])
    else known.push(source)
  }
  for (const [stream, parts] of byStream(round)) {
    const { mapping, lanes, splitter, repair } = routes.get(stream)!
    if (mapping.kind === 'identity') {
      for (const part of parts) add(lanes[part.partition]!, part, null)
      continue
    }
    for (const split of splitter.split(parts, mapping.width)) {
      for (const [target, part] of split) add(lanes[target]!, part, repair)
    }
  }
  for (const { lanes } of routes.values()) for (const lane of lanes) lane.at = -1
  return [...sources].map(([lane, given]) => ({ lane, splicer: new Splicer(given) }))
}

export function byStream(round: Round): Map<string, RoundPart[]> {
  const streams = new Map<string, RoundPart[]>()
  for (const part of round.parts) {
    const known = streams.get(part.stream)
    if (known === undefined) streams.set(part.stream, [part])
    else known.push(part)
  }
  return streams
}

export function lanesOf({ routes }: { readonly routes: ReadonlyMap<string, Route> }): Lane[] {
  return [...routes.values()].flatMap(({ lanes }) => lanes)
}
