/** What a person gets wrong, and what a cluster answers: one clear line each, and nothing lost. */
import { createServer, type Server } from 'node:net'
import { afterEach, expect, it } from 'vitest'
import { UpstreamError } from '../../../sync/errors.ts'
import type { KafkaUpstream } from '../../../sync/kafka/kafka-upstream.ts'
import type { Upstream } from '../../../sync/upstream.ts'
import {
  createTopic,
  deleteTopic,
  describeWithKafka,
  readTopic,
  uniqueName,
} from '../../support/kafka/index.ts'
import { MemoryLog, testIdentity } from '../memory-log.ts'
import { roundFrom } from '../upstream-harness.ts'
import { settled } from './kafka-place.ts'
import { type OpenOptions, openKafka } from './open-kafka.ts'

const opened: Upstream[] = []
const servers: Server[] = []
afterEach(async () => {
  await Promise.all(opened.splice(0).map((upstream) => upstream.close()))
  for (const server of servers.splice(0)) server.close()
})

function open(bootstrap: string, name: string, options: OpenOptions = {}): KafkaUpstream {
  const upstream = openKafka(bootstrap, name, options)
  opened.push(upstream)
  return upstream
}

const newLog = (partitions = 2) => new MemoryLog().addStream('events', partitions)
/** Throws why a stream is refused, too. */
async function recover(upstream: Upstream, log: MemoryLog) {
  const recovered = await upstream.recover(log.identity, log.partitions())
  for (const refusal of recovered.refused?.values() ?? []) throw refusal
  return recovered
}
const fault = (work: Promise<unknown>): Promise<UpstreamError> =>
  work.then(
    () => Promise.reject(new Error('an error was expected')),
    (error) => (error instanceof UpstreamError ? error : Promise.reject(error)),
  )

async function listen(onData: (write: (bytes: Buffer) => void, chunk: Buffer) => void): Promise<string> {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.on('data', (chunk) => onData((bytes) => socket.write(bytes), chunk))
  })
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `127.0.0.1:${(server.address() as { port: number }).port}`
}

describeWithKafka('the kafka upstream', ({ bootstrap }) => {
  it('says that nothing listens at a wrong address', async () => {
    const error = await fault(recover(open('127.0.0.1:1', 'x'), newLog()))
    expect(error).toMatchObject({ code: 'HW_UPSTREAM_UNREACHABLE', retryable: true })
    expect(error.line).toMatch(/127\.0\.0\.1:1: nothing listens there .*check bootstrap/)
  })

  it('says that a name cannot be resolved', async () => {
    const error = await fault(recover(open('no-such-host.invalid:9092', 'x'), newLog()))
    expect(error.line).toMatch(/no-such-host.invalid:9092: the name cannot be resolved/)
  })

  it('says that what listens there does not answer, or not as Kafka does', async () => {
    const silent = await listen(() => {})
    const wire = { requestMs: 300 }
    const error = await fault(recover(open(silent, 'x', { wire }), newLog()))
    expect(error).toMatchObject({ code: 'HW_UPSTREAM_TIMEOUT', retryable: true })
    const other = await listen((write) => write(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')))
    const strange = await fault(recover(open(other, 'x', { wire }), newLog()))
    expect(strange).toMatchObject({ retryable: true, code: expect.stringMatching(/UNREACHABLE|TIMEOUT/) })
  })

  it('asks the next bootstrap address when the first is down', async () => {
    const log = newLog()
    log.appendMany('events', 0, 5)
    const name = uniqueName('next')
    const upstream = open(`127.0.0.1:1,${bootstrap}`, name)
    await recover(upstream, log)
    await upstream.send(roundFrom(log, new Map()))
  })

  it('names a missing topic and the command that creates it, and goes on once it is there', async () => {
    const name = uniqueName('missing')
    const upstream = open(bootstrap, name, { options: { createTopics: false } })
    const error = await fault(recover(upstream, newLog()))
    expect(error).toMatchObject({ code: 'HW_TOPIC_MISSING', retryable: true, slow: true })
    expect(error.hint).toContain(
      `kafka-topics.sh --bootstrap-server ${bootstrap} --create --topic ${name}-events --partitions 2`,
    )
    await createTopic(bootstrap, `${name}-events`, 2)
    await recover(upstream, newLog())
  })

  it('refuses a topic with fewer partitions where partitions are to be the same ones', async () => {
    const name = uniqueName('mismatch')
    const options = { partitioning: 'identity' } as const
    await createTopic(bootstrap, `${name}-events`, 3)
    const more = await fault(recover(open(bootstrap, name, { options }), newLog(4)))
    expect(more).toMatchObject({ code: 'HW_PARTITION_MISMATCH', retryable: true, slow: true })
    expect(more.line).toMatch(/stream events has 4 partitions, topic .* has 3 .*--alter .*--partitions 4/)
    await recover(open(bootstrap, name, { options }), newLog(2))
  })

  it('refuses a name that Kafka does not allow, and two streams for one topic', async () => {
    const strange = new MemoryLog().addStream('a b', 1)
    expect(await fault(recover(open(bootstrap, uniqueName('x')), strange))).toMatchObject({
      code: 'HW_TOPIC_NOT_ALLOWED',
    })
    const two = new MemoryLog().addStream('a', 1).addStream('b', 1)
    const upstream = open(bootstrap, 'x', { options: { topic: 'all-{edge}' } })
    expect(await fault(recover(upstream, two))).toMatchObject({ code: 'HW_TOPIC_CONFLICT', retryable: false })
  })

  it('says why a topic cannot be created', async () => {
    const options = { replicationFactor: 30 }
    const error = await fault(recover(open(bootstrap, uniqueName('replicas'), { options }), newLog()))
    expect(error).toMatchObject({ code: 'HW_TOPIC_NOT_ALLOWED', retryable: true })
    expect(error.line).toMatch(/replicationFactor/)
  })

  it('is fenced by a second process with the same edge id, and does not take it back by itself', async () => {
    const name = uniqueName('fenced')
    const log = newLog()
    log.appendMany('events', 0, 10)
    const first = open(bootstrap, name)
    await recover(first, log)
    const clone = open(bootstrap, name)
    await recover(clone, log)
    const error = await fault(first.send(roundFrom(log, new Map())))
    expect(error).toMatchObject({ code: 'HW_FENCED', retryable: false })
    expect(error.line).toContain(`${name}.${testIdentity().edge}`)
    await clone.send(roundFrom(log, new Map()))
    await settled(bootstrap, `${name}.${testIdentity().edge}`)
    expect(await readTopic(bootstrap, `${name}-events`)).toHaveLength(10)
  })

  it('is fenced, too, when it lost its connection meanwhile and asks again where it stands', async () => {
    const name = uniqueName('fenced')
    const log = newLog()
    const first = open(bootstrap, name)
    await recover(first, log)
    await first.disconnect()
    await recover(open(bootstrap, name), log)
    expect(await fault(recover(first, log))).toMatchObject({ code: 'HW_FENCED', retryable: false })
    // The next time is when a person said so.
    await recover(first, log)
  })

  it('is not fenced by its own transaction that the cluster gave up on', async () => {
    const name = uniqueName('expired')
    const log = newLog()
    log.appendMany('events', 0, 10)
    let stall = true
    const upstream = open(bootstrap, name, {
      options: { transactionTimeoutMs: 1000 },
      around: async (method, ask) => {
        // The coordinator looks for transactions past their time every ten seconds.
        if (method === 'endTxn' && stall) await new Promise((resolve) => setTimeout(resolve, 12_000))
        return ask()
      },
    })
    await recover(upstream, log)
    expect(await fault(upstream.send(roundFrom(log, new Map())))).toMatchObject({
      code: 'HW_UPSTREAM_TIMEOUT',
      retryable: true,
    })
    stall = false
    const { partitions } = await recover(upstream, log)
    expect(partitions.get('events/0')!.next).toBeNull()
    await upstream.send(roundFrom(log, new Map()))
    await settled(bootstrap, `${name}.${testIdentity().edge}`)
    expect(await readTopic(bootstrap, `${name}-events`)).toHaveLength(10)
  }, 60_000)

  it('recovers as itself when its connection broke in the middle of a round', async () => {
    const name = uniqueName('broken')
    const log = newLog()
    log.appendMany('events', 0, 10)
    let broken = true
    const upstream: KafkaUpstream = open(bootstrap, name, {
      around: async (method, ask) => {
        if (method === 'txnOffsetCommit' && broken) await upstream.disconnect()
        return ask()
      },
    })
    await recover(upstream, log)
    expect(await fault(upstream.send(roundFrom(log, new Map())))).toMatchObject({ retryable: true })
    broken = false
    await recover(upstream, log)
    await upstream.send(roundFrom(log, new Map()))
    await settled(bootstrap, `${name}.${testIdentity().edge}`)
    expect(await readTopic(bootstrap, `${name}-events`)).toHaveLength(10)
  })

  it('sends a round again, without a wait of seconds, when a leader says that it is none', async () => {
    const name = uniqueName('moved')
    const log = newLog()
    log.appendMany('events', 0, 10)
    log.appendMany('events', 1, 10)
    let refusals = 3
    const upstream = open(bootstrap, name, {
      around: async (method, ask) => {
        const answers = await ask()
        if (method !== 'produce' || refusals-- <= 0) return answers
        // What was appended is aborted with the rest of the round.
        return (answers as object[]).map((answer) => ({ ...answer, answer: 'NOT_LEADER_OR_FOLLOWER' }))
      },
    })
    await recover(upstream, log)
    const positions = await upstream.send(roundFrom(log, new Map()))
    expect(positions.get('events/1')).toBe(10)
    await settled(bootstrap, `${name}.${testIdentity().edge}`)
    expect(await readTopic(bootstrap, `${name}-events`)).toHaveLength(20)
    expect(refusals).toBeLessThan(0)
  })

  it('cuts a round smaller until the topic takes it, and names a record that it never takes', async () => {
    const name = uniqueName('large')
    await createTopic(bootstrap, `${name}-events`, 2, { 'max.message.bytes': '5000' })
    const log = newLog()
    log.appendMany('events', 0, 1000, 100)
    log.appendMany('events', 1, 10)
    const upstream = open(bootstrap, name)
    await recover(upstream, log)
    const positions = await upstream.send(roundFrom(log, new Map()))
    expect(positions.get('events/0')).toBe(1000)
    await settled(bootstrap, `${name}.${testIdentity().edge}`)
    expect(await readTopic(bootstrap, `${name}-events`)).toHaveLength(1010)

    log.append('events', 0, [{ value: 'small' }, { value: 'x'.repeat(8000) }, { value: 'small' }])
    const error = await fault(upstream.send(roundFrom(log, new Map([...positions]))))
    expect(error).toMatchObject({ code: 'HW_UPSTREAM_RECORD_TOO_LARGE', retryable: true, slow: true })
    expect(error.line).toMatch(/events\/0 at offset 1001 .*max\.message\.bytes/)
    expect(await readTopic(bootstrap, `${name}-events`)).toHaveLength(1010)
  })

  it('says that a topic refuses the time of a record, and that it takes it on topics of its own', async () => {
    const name = uniqueName('time')
    const ahead = Date.now() + 30 * 86_400_000
    const log = newLog()
    log.append('events', 0, [{ value: 'from next month', timestamp: ahead }])
    const own = open(bootstrap, `${name}-own`)
    await recover(own, log)
    await own.send(roundFrom(log, new Map()))
    await createTopic(bootstrap, `${name}-events`, 2)
    const upstream = open(bootstrap, name)
    await recover(upstream, log)
    const error = await fault(upstream.send(roundFrom(log, new Map())))
    expect(error).toMatchObject({ code: 'HW_TIMESTAMP_REFUSED', retryable: true })
    expect(error.hint).toContain('message.timestamp.after.max.ms')
  })

  it('starts anew in a topic that was deleted and created again', async () => {
    const name = uniqueName('again')
    const log = newLog()
    log.appendMany('events', 0, 10)
    const upstream = open(bootstrap, name)
    const before = await recover(upstream, log)
    await upstream.send(roundFrom(log, new Map()))
    await deleteTopic(bootstrap, `${name}-events`)
    const after = await recover(upstream, log)
    expect(after.partitions.get('events/0')!.next).toBeNull()
    // Another place: a position that the edge remembers does not count for it.
    expect(after.partitions.get('events/0')!.place).not.toBe(before.partitions.get('events/0')!.place)
  })

  it('puts where each record came from into a header, unless it is told not to', async () => {
    const log = newLog()
    log.appendMany('events', 1, 3)
    for (const provenance of ['record', 'none'] as const) {
      const name = uniqueName(`origin-${provenance}`)
      const upstream = open(bootstrap, name, { options: { provenance } })
      await recover(upstream, log)
      await upstream.send(roundFrom(log, new Map()))
      await settled(bootstrap, `${name}.${testIdentity().edge}`)
      const headers = (await readTopic(bootstrap, `${name}-events`)).map((record) =>
        record.headers.map(({ key, value }) => `${key}=${value}`),
      )
      const origins = [0, 1, 2].map((offset) => [`hw.origin=edge-a/11111111/events/1/${offset}`])
      expect(headers).toEqual(provenance === 'none' ? [[], [], []] : origins)
    }
  })
})
