import { setTimeout as sleep } from 'node:timers/promises'
import { check, findLeaders, ProtocolError, UNKNOWN_TOPIC } from './metadata.ts'
import { FieldWriter, WireConnection } from './wire.ts'

const CREATE_TOPICS = 19
const DELETE_TOPICS = 20
const CREATE_PARTITIONS = 37
const WAIT_MS_MAX = 30_000
const POLL_MS = 10

/**
 * Creates a topic with the cluster's default replication and waits until every node names a leader for every
 * partition. `config` holds topic properties.
 */
export async function createTopic(
  bootstrap: string,
  topic: string,
  partitions: number,
  config: Record<string, string> = {},
): Promise<void> {
  const entries = Object.entries(config)
  const request = new FieldWriter().int32(1).string(topic).int32(partitions)
  request.int16(-1) // default replication
  request.int32(0) // no assignment by hand
  request.int32(entries.length)
  for (const [name, value] of entries) request.string(name).string(value)
  request.int32(WAIT_MS_MAX).int8(0) // not only to validate
  await onFirst(bootstrap, async (connection) => {
    const answer = await connection.request(CREATE_TOPICS, 4, request.finish())
    answer.int32() // throttle time
    answer.array(() => check(`create ${answer.string()}`, answer.int16(), answer.string()))
  })
  await onEach(bootstrap, (connection) =>
    until(`${topic} has leaders`, async () => (await leadersOrNone(connection, topic)) === 'leaders'),
  )
}

/** Gives a topic more partitions, `partitions` in all, and waits until every node names a leader for each. */
export async function growTopic(bootstrap: string, topic: string, partitions: number): Promise<void> {
  const request = new FieldWriter().int32(1).string(topic).int32(partitions)
  request.int32(-1) // no assignment by hand
  request.int32(WAIT_MS_MAX).int8(0) // not only to validate
  await onFirst(bootstrap, async (connection) => {
    const answer = await connection.request(CREATE_PARTITIONS, 0, request.finish())
    answer.int32() // throttle time
    answer.array(() => check(`grow ${answer.string()}`, answer.int16(), answer.string()))
  })
  const hasAll = async (connection: WireConnection) => {
    if ((await leadersOrNone(connection, topic)) !== 'leaders') return false
    return (await findLeaders(connection, topic)).size === partitions
  }
  await onEach(bootstrap, (connection) => until(`${topic} has grown`, () => hasAll(connection)))
}

/** Deletes a topic and waits until no node knows it. */
export async function deleteTopic(bootstrap: string, topic: string): Promise<void> {
  const request = new FieldWriter().int32(1).string(topic).int32(WAIT_MS_MAX)
  await onFirst(bootstrap, async (connection) => {
    const answer = await connection.request(DELETE_TOPICS, 3, request.finish())
    answer.int32() // throttle time
    answer.array(() => check(`delete ${answer.string()}`, answer.int16()))
  })
  await onEach(bootstrap, (connection) =>
    until(`${topic} is gone`, async () => (await leadersOrNone(connection, topic)) === 'unknown'),
  )
}

async function leadersOrNone(
  connection: WireConnection,
  topic: string,
): Promise<'leaders' | 'none' | 'unknown'> {
  try {
    await findLeaders(connection, topic)
    return 'leaders'
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    return error.code === UNKNOWN_TOPIC ? 'unknown' : 'none'
  }
}

async function onFirst(
  bootstrap: string,
  work: (connection: WireConnection) => Promise<void>,
): Promise<void> {
  await onEach(bootstrap.split(',')[0]!, work)
}

async function onEach(bootstrap: string, work: (connection: WireConnection) => Promise<void>): Promise<void> {
  for (const address of bootstrap.split(',')) {
    const connection = new WireConnection(address)
    try {
      await work(connection)
    } finally {
      connection.close()
    }
  }
}

async function until(what: string, isTrue: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + WAIT_MS_MAX
  while (!(await isTrue())) {
    if (Date.now() > deadline) throw new Error(`not within ${WAIT_MS_MAX} ms: ${what}`)
    await sleep(POLL_MS)
  }
}
