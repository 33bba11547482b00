/** A broker that goes away and comes back, and one that asks for a password. */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, expect, it } from 'vitest'
import type { CheckpointCache } from '../../../sync/checkpoint.ts'
import type { KafkaUpstreamConfig } from '../../../sync/config.ts'
import { createReplicator, createUpstream, type Replicator } from '../../../sync/index.ts'
import { describeWithOwnKafka, type KafkaServer, readTopic, startKafka } from '../../support/kafka/index.ts'
import { MemoryLog } from '../memory-log.ts'
import { settled } from './kafka-place.ts'

const noCache: CheckpointCache = { load: async () => null, save: async () => {} }

function config(bootstrap: string, changes: Partial<KafkaUpstreamConfig> = {}): KafkaUpstreamConfig {
  return {
    name: 'central',
    kind: 'kafka',
    bootstrap: [bootstrap],
    topic: '{stream}',
    createTopics: true,
    replicationFactor: -1,
    topicConfig: {},
    provenance: 'record',
    mode: 'exactly-once',
    partitioning: 'auto',
    compression: 'none',
    groupPrefix: 'headwater.',
    transactionTimeoutMs: 10_000,
    batchBytesMax: 1_000_000,
    round: { bytesMax: 65_536, lingerMs: 20 },
    backoff: { firstMs: 50, msMax: 500 },
    ...changes,
  }
}

async function until(what: string, condition: () => boolean, msMax = 60_000): Promise<void> {
  const end = Date.now() + msMax
  while (!condition()) {
    if (Date.now() > end) throw new Error(`not within ${msMax} ms: ${what}`)
    await sleep(5)
  }
}

const running: Replicator[] = []
const servers: KafkaServer[] = []
afterEach(async () => {
  await Promise.all(running.splice(0).map((replicator) => replicator.close()))
  await Promise.all(servers.splice(0).map((server) => server.stop()))
})

async function start(server: KafkaServer, log: MemoryLog) {
  const lines: string[] = []
  const sink = {
    info: (message: string) => lines.push(message),
    warn: (message: string) => lines.push(message),
    error: (message: string) => lines.push(message),
  }
  const replicator = await createReplicator(config(server.bootstrap), { log, cache: noCache, sink })
  running.push(replicator)
  replicator.start()
  return { replicator, lines }
}

describeWithOwnKafka('a cluster of its own', () => {
  it('is killed and started in the middle of a backlog, and has each record once and in order', async () => {
    const server = await startKafka()
    servers.push(server)
    const log = new MemoryLog().addStream('events', 3)
    for (let partition = 0; partition < 3; partition++) log.appendMany('events', partition, 40_000, 20)
    const { replicator, lines } = await start(server, log)
    for (const sent of [20_000, 60_000]) {
      await until(`${sent} records sent`, () => replicator.status().sentRecords >= sent)
      await server.kill()
      await until('the outage is noticed', () => replicator.status().lastError !== null)
      // Ingest goes on meanwhile.
      log.appendMany('events', 0, 1000, 20)
      await server.start()
    }
    await until(
      'all is sent',
      () => replicator.status().state === 'idle' && replicator.status().lagRecords === 0,
    )
    await settled(server.bootstrap, 'headwater.edge-a')
    const records = await readTopic(server.bootstrap, 'events')
    for (const [partition, count] of [42_000, 40_000, 40_000].entries()) {
      const values = records.filter((r) => r.partition === partition).map((r) => r.value!.toString())
      expect(values.length).toBe(count)
      expect(values.every((value, offset) => value === `events/${partition}/${offset}`)).toBe(true)
    }
    expect(lines.filter((line) => /recovered after \d+ tr/.test(line)).length).toBeGreaterThanOrEqual(2)
    expect(lines.length).toBeLessThan(20)
    // of all connections, those that broke included
    expect(replicator.status().wireBytes).toBeGreaterThan(500_000)
  }, 180_000)

  it('refuses wrong credentials with one clear line that does not show them, and takes the right ones', async () => {
    const jaas = 'org.apache.kafka.common.security.plain.PlainLoginModule required user_edge="right-secret";'
    const server = await startKafka({
      listeners: [
        {
          name: 'SASL',
          protocol: 'SASL_PLAINTEXT',
          properties: { 'sasl.enabled.mechanisms': 'PLAIN', 'plain.sasl.jaas.config': jaas },
        },
      ],
    })
    servers.push(server)
    const log = new MemoryLog().addStream('events', 1)
    const recover = async (sasl?: KafkaUpstreamConfig['sasl']) => {
      const changes = sasl === undefined ? {} : { sasl }
      const upstream = await createUpstream(config(server.listeners.SASL!, changes))
      const outcome = await upstream.recover(log.identity, log.partitions()).catch((error) => error)
      await upstream.close()
      return outcome
    }
    const wrong = await recover({ mechanism: 'PLAIN', username: 'edge', password: 'wrong-secret' })
    expect(wrong).toMatchObject({ code: 'HW_UPSTREAM_AUTH', retryable: true, slow: true })
    expect(wrong.line).toMatch(/refused this edge: .*check sasl\.username/)
    expect(wrong.line).not.toContain('wrong-secret')
    const mechanism = await recover({
      mechanism: 'SCRAM-SHA-512',
      username: 'edge',
      password: 'right-secret',
    })
    expect(mechanism).toMatchObject({ code: 'HW_UPSTREAM_AUTH' })
    const none = await recover()
    expect(none).toMatchObject({ code: 'HW_UPSTREAM_UNREACHABLE', hint: expect.stringContaining('sasl') })
    const right = await recover({ mechanism: 'PLAIN', username: 'edge', password: 'right-secret' })
    expect(right.partitions?.get('events/0')).toMatchObject({ next: null })
  }, 120_000)
})
