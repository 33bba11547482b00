/** Looking for leaders again, on a cluster that a test makes up: what a new leader lacks is found however often the question failed before. */
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../../sync/clock.ts'
import type { Lane, Route } from '../../../sync/kafka/routes.ts'
import { refreshLeaders, type Session } from '../../../sync/kafka/session.ts'
import {
  type ClusterInfo,
  type EpochAsked,
  type KafkaWire,
  WireAnswerError,
} from '../../../sync/kafka/wire.ts'

const NODE = { id: 1, host: 'h', port: 1 }

function laneOf(partition: number, changes: Partial<Lane> = {}): Lane {
  return {
    stream: 'events',
    partition,
    topic: 'events',
    topicId: 'id',
    origins: new Map(),
    sources: new Set(),
    positions: new Map([[partition, { next: 100, proof: null }]]),
    isBehind: false,
    leader: NODE,
    leaderEpoch: 5,
    last: { at: 99, epoch: 5, position: { next: 100, proof: null } },
    sequence: 0,
    isKnown: true,
    at: -1,
    end: 99,
    ...changes,
  }
}

/** @param ends of epoch 5, by partition */
function cluster(lanes: readonly Lane[], ends: readonly number[], isTransactional = true) {
  const leaders = new Map(
    lanes.map(({ partition }) => [partition, { answer: 'NONE', leader: 1, leaderEpoch: 6 }]),
  )
  let asked = 0
  const epochEnds = async (_node: unknown, epochs: readonly EpochAsked[]) => {
    asked++
    return epochs.map(({ partition }) => ends[partition]!)
  }
  const wire = {
    lostConnections: 0,
    metadata: async (): Promise<ClusterInfo> => {
      const partitions = lanes.map(({ partition }) => ({ partition, ...leaders.get(partition)! }))
      const topics = new Map([['events', { answer: 'NONE', topicId: 'id', partitions }]])
      return { clusterId: 'c', controller: 1, nodes: new Map([[1, NODE]]), topics }
    },
    epochEnds,
    bounds: async () => ({ start: 0, stable: 90, end: 90 }),
  }
  const route = { stream: 'events', lanes } as unknown as Route
  const session = {
    wire: wire as unknown as KafkaWire,
    producer: { producerId: 1n, epoch: 0, transactionalId: isTransactional ? 'edge-a' : null },
    routes: new Map([['events', route]]),
    looked: { at: 0, lostConnections: 0 },
  } as unknown as Session
  return { session, wire, leaders, look: () => refreshLeaders(session, systemClock), asked: () => asked }
}

const LOST = { answer: 'OFFSET_OUT_OF_RANGE' }

describe('looking for the leaders again', () => {
  it('takes the new ones where they have all that was acknowledged', async () => {
    const lanes = [laneOf(0), laneOf(1)]
    const { look, session, asked } = cluster(lanes, [150, 150])
    await look()
    expect(lanes.map(({ leaderEpoch }) => leaderEpoch)).toEqual([6, 6])
    expect(session.looked.at).toBeGreaterThan(0)
    expect(asked()).toBe(1)
    await look()
    expect(asked(), 'nothing has moved since').toBe(1)
  })

  it('finds what a new leader lacks, also when another partition had no leader at the first look', async () => {
    const lanes = [laneOf(0), laneOf(1)]
    const { look, leaders } = cluster(lanes, [90, 150])
    leaders.set(1, { answer: 'LEADER_NOT_AVAILABLE', leader: -1, leaderEpoch: -1 })
    await expect(look()).rejects.toMatchObject({ answer: 'LEADER_NOT_AVAILABLE' })
    leaders.set(1, { answer: 'NONE', leader: 1, leaderEpoch: 6 })
    await expect(look()).rejects.toMatchObject(LOST)
    await expect(look(), 'and at each look after it').rejects.toMatchObject(LOST)
  })

  it('finds it also when the new leader did not answer at the first look', async () => {
    const lanes = [laneOf(0)]
    const { look, wire } = cluster(lanes, [90])
    const { epochEnds } = wire
    wire.epochEnds = async () => {
      throw new WireAnswerError('NOT_LEADER_OR_FOLLOWER', 'OffsetForLeaderEpoch')
    }
    await expect(look()).rejects.toMatchObject({ answer: 'NOT_LEADER_OR_FOLLOWER' })
    wire.epochEnds = epochEnds
    await expect(look()).rejects.toMatchObject(LOST)
  })

  it('without transactions asks for what the round under way has acknowledged, too', async () => {
    const before = { last: { at: 49, epoch: 5, position: { next: 50, proof: null } }, at: 99 }
    await expect(cluster([laneOf(0, before)], [95], false).look()).rejects.toMatchObject(LOST)
    await cluster([laneOf(0, before)], [100], false).look()
    await cluster([laneOf(0, before)], [95], true).look()
  })
})
