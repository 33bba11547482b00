/** Who leads and who coordinates in a cluster, and how a test changes it. Nodes are told by their id. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Kafka, logLevel } from 'kafkajs'
import { check, ProtocolError } from './metadata.ts'
import { FieldWriter, WireConnection } from './wire.ts'

const FIND_COORDINATOR = 10
const ELECT_LEADERS = 43
const ELECTION_NOT_NEEDED = 84
const WAIT_MS_MAX = 30_000
const POLL_MS = 20
const KINDS = { group: 0, transaction: 1 } as const

/** The cluster's own topics: their partition's leader is the coordinator. Tests' clusters have one partition of each. */
export const COORDINATOR_TOPICS = { group: '__consumer_offsets', transaction: '__transaction_state' } as const

/** Work with kafkajs's admin client, for what no test should write again. */
export async function withAdmin<T>(
  bootstrap: string,
  work: (admin: ReturnType<Kafka['admin']>) => Promise<T>,
): Promise<T> {
  const admin = new Kafka({ brokers: bootstrap.split(','), logLevel: logLevel.NOTHING }).admin()
  await admin.connect()
  try {
    return await work(admin)
  } finally {
    await admin.disconnect()
  }
}

export interface PartitionPlace {
  /** -1 while there is none. */
  leader: number
  replicas: number[]
  inSync: number[]
}

export async function placeOf(bootstrap: string, topic: string, partition = 0): Promise<PartitionPlace> {
  const { topics } = await withAdmin(bootstrap, (admin) => admin.fetchTopicMetadata({ topics: [topic] }))
  const found = topics[0]!.partitions.find(({ partitionId }) => partitionId === partition)
  if (found === undefined) throw new Error(`${topic} has no partition ${partition}`)
  return { leader: found.leader, replicas: found.replicas, inSync: found.isr }
}

/** Waits until the partition is as `isSo` says. */
export async function untilPlace(
  bootstrap: string,
  topic: string,
  what: string,
  isSo: (place: PartitionPlace) => boolean,
  partition = 0,
): Promise<PartitionPlace> {
  return until(`${topic}/${partition}: ${what}`, async () => {
    const place = await placeOf(bootstrap, topic, partition).catch(() => null)
    return place !== null && isSo(place) ? place : null
  })
}

/** Makes a replica the leader, as an administrator does: first in the assignment, then an election of the preferred one. */
export async function moveLeader(
  bootstrap: string,
  topic: string,
  partition: number,
  to: number,
): Promise<void> {
  const { replicas } = await placeOf(bootstrap, topic, partition)
  const assignment = [to, ...replicas.filter((replica) => replica !== to)]
  await withAdmin(bootstrap, (admin) =>
    admin.alterPartitionReassignments({
      topics: [{ topic, partitionAssignment: [{ partition, replicas: assignment }] }],
    }),
  )
  await untilPlace(bootstrap, topic, `${to} is in sync`, ({ inSync }) => inSync.includes(to), partition)
  await electPreferred(bootstrap, topic, partition)
  await untilPlace(bootstrap, topic, `${to} leads`, ({ leader }) => leader === to, partition)
}

/** The node that coordinates a group or a transactional id. */
export function coordinatorOf(
  bootstrap: string,
  kind: 'group' | 'transaction',
  key: string,
): Promise<number> {
  return until(`${key} has a ${kind} coordinator`, () =>
    onSome(bootstrap, async (connection) => {
      const request = new FieldWriter().string(key).int8(KINDS[kind]).finish()
      const answer = await connection.request(FIND_COORDINATOR, 1, request)
      answer.int32() // throttle time
      const code = answer.int16()
      answer.string()
      return code === 0 ? answer.int32() : null
    }),
  )
}

/** Only the controller elects; every broker passes the request on to it. */
async function electPreferred(bootstrap: string, topic: string, partition: number): Promise<void> {
  const request = new FieldWriter().int8(0).int32(1).string(topic).int32(1).int32(partition)
  await onSome(bootstrap, async (connection) => {
    const answer = await connection.request(ELECT_LEADERS, 1, request.int32(WAIT_MS_MAX).finish())
    answer.int32() // throttle time
    check('elect a leader', answer.int16())
    answer.array(() => {
      answer.string()
      answer.array(() => {
        answer.int32()
        const code = answer.int16()
        const message = answer.string()
        if (code !== ELECTION_NOT_NEEDED) check(`elect the leader of ${topic}`, code, message)
      })
    })
  })
}

/** Asks the first node that answers. */
async function onSome<T>(bootstrap: string, work: (connection: WireConnection) => Promise<T>): Promise<T> {
  let last: unknown
  for (const address of bootstrap.split(',')) {
    const connection = new WireConnection(address)
    try {
      return await work(connection)
    } catch (error) {
      if (error instanceof ProtocolError) throw error
      last = error
    } finally {
      connection.close()
    }
  }
  throw last
}

async function until<T>(what: string, ask: () => Promise<T | null>): Promise<T> {
  const deadline = Date.now() + WAIT_MS_MAX
  for (;;) {
    const answer = await ask().catch(() => null)
    if (answer !== null) return answer
    if (Date.now() > deadline) throw new Error(`not within ${WAIT_MS_MAX} ms: ${what}`)
    await sleep(POLL_MS)
  }
}
