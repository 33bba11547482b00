/** QoS 2 packet by packet over a socket, across restarts of the broker: one record a message, and each id free again. */
import { describe, expect, it } from 'vitest'
import { dataDirectory, RawClient, recordsIn, startBroker } from './support.ts'

const values = async (...from: Parameters<typeof recordsIn>) =>
  (await recordsIn(...from)).map(({ value }) => value)

describe('QoS 2', () => {
  it('gives one record for a PUBLISH that is repeated on the same connection', async () => {
    const { broker, port } = await startBroker()
    const client = await RawClient.connect(port, 'c1')
    for (const dup of [false, true, true]) {
      client.publish(2, 1, 'once', { dup })
      expect((await client.next('pubrec')).messageId).toBe(1)
    }
    client.pubrel(1)
    expect((await client.next('pubcomp')).messageId).toBe(1)
    expect(await values(broker)).toEqual(['once'])
    expect(broker.status().ingress).toMatchObject({ appended: 1, repetitions: 2 })
  })

  it('gives one record for a PUBLISH that is repeated with DUP after a restart of the broker', async () => {
    const data = dataDirectory()
    const { broker, port } = await startBroker({ data })
    const client = await RawClient.connect(port, 'c1')
    client.publish(2, 1, 'once')
    await client.next('pubrec')
    await broker.close()
    const again = await startBroker({ data })
    const second = await RawClient.connect(again.port, 'c1')
    second.publish(2, 1, 'once', { dup: true })
    expect((await second.next('pubrec')).messageId).toBe(1)
    second.pubrel(1)
    await second.next('pubcomp')
    expect(await values(again.broker)).toEqual(['once'])
  })

  it('answers a PUBREL after a restart with PUBCOMP, and frees the id: an equal message under it is stored', async () => {
    const data = dataDirectory()
    const { broker, port } = await startBroker({ data })
    const client = await RawClient.connect(port, 'c1')
    client.publish(2, 1, 'same')
    await client.next('pubrec')
    await broker.close()

    const again = await startBroker({ data })
    const second = await RawClient.connect(again.port, 'c1')
    second.pubrel(1)
    expect((await second.next('pubcomp')).messageId).toBe(1)
    // and again, as a client does whose PUBCOMP was lost
    second.pubrel(1)
    expect((await second.next('pubcomp')).messageId).toBe(1)
    await again.broker.close()

    const third = await startBroker({ data })
    const last = await RawClient.connect(third.port, 'c1')
    last.publish(2, 1, 'same')
    await last.next('pubrec')
    expect(await values(third.broker)).toEqual(['same', 'same'])
  })

  it('stores another message under an id that is in flight, before and after a restart', async () => {
    const data = dataDirectory()
    const { broker, port } = await startBroker({ data })
    const client = await RawClient.connect(port, 'c1')
    client.publish(2, 1, 'first')
    await client.next('pubrec')
    client.publish(2, 1, 'second')
    await client.next('pubrec')
    await broker.close()
    const again = await startBroker({ data })
    const second = await RawClient.connect(again.port, 'c1')
    second.publish(2, 1, 'third', { dup: true })
    await second.next('pubrec')
    expect(await values(again.broker)).toEqual(['first', 'second', 'third'])
  })

  it('stores an equal message after a clean session, unless it is marked as a repetition', async () => {
    const { broker, port } = await startBroker()
    const client = await RawClient.connect(port, 'c1')
    client.publish(2, 1, 'v')
    await client.next('pubrec')
    client.end()
    const repeating = await RawClient.connect(port, 'c1', { clean: true })
    repeating.publish(2, 1, 'v', { dup: true })
    await repeating.next('pubrec')
    expect(await values(broker)).toEqual(['v'])
    repeating.end()
    const fresh = await RawClient.connect(port, 'c1', { clean: true })
    fresh.publish(2, 1, 'v')
    await fresh.next('pubrec')
    expect(await values(broker)).toEqual(['v', 'v'])
  })

  it('keeps the ids of clients apart', async () => {
    const { broker, port } = await startBroker()
    for (const id of ['c1', 'c2']) {
      const client = await RawClient.connect(port, id)
      client.publish(2, 1, 'v')
      await client.next('pubrec')
    }
    expect(await values(broker)).toEqual(['v', 'v'])
  })

  it('answers a PUBREL for an id that it never saw with PUBCOMP', async () => {
    const { port } = await startBroker()
    const client = await RawClient.connect(port, 'c1')
    client.pubrel(77)
    expect((await client.next('pubcomp')).messageId).toBe(77)
  })

  it('remembers the ids in flight over many segments and restarts', async () => {
    const data = dataDirectory()
    const change = (config: { log: { segmentBytes: number } }) => {
      config.log.segmentBytes = 3000
    }
    const { broker, port } = await startBroker({ data, change })
    const client = await RawClient.connect(port, 'c1')
    client.publish(2, 1, 'in flight')
    await client.next('pubrec')
    for (let id = 2; id < 40; id++) {
      client.publish(2, id, 'x'.repeat(300))
      await client.next('pubrec')
      client.pubrel(id)
      await client.next('pubcomp')
    }
    expect(broker.status().log.segments).toBeGreaterThan(3)
    await broker.close()
    const again = await startBroker({ data, change })
    const second = await RawClient.connect(again.port, 'c1')
    second.publish(2, 1, 'in flight', { dup: true })
    await second.next('pubrec')
    second.publish(2, 2, 'x'.repeat(300), { dup: true })
    await second.next('pubrec')
    const stored = await values(again.broker)
    expect(stored.filter((value) => value === 'in flight')).toHaveLength(1)
    expect(stored).toHaveLength(40)
  })
})
