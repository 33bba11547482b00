import { expect, it } from 'vitest'
import { createNatsAudit } from '../../../sync/nats/create.ts'
import { logProof } from '../../../sync/proof.ts'
import { withStreams } from '../../support/nats/streams.ts'
import { describeWithNats } from '../../support/nats/vitest.ts'
import { MemoryLog, testIdentity } from '../memory-log.ts'
import { roundFrom } from '../upstream-harness.ts'
import { natsConfig, openNats } from './open-nats.ts'

async function audit(address: string, log: MemoryLog) {
  const source = await createNatsAudit(natsConfig(address), {})
  const items: unknown[] = []
  const signal = new AbortController().signal
  for await (const item of source.read(log.identity, log.partitions(), signal)) {
    if (item.kind === 'gap') items.push(`gap ${item.stream}/${item.partition}`)
    else items.push(...item.records.map(({ offset }) => `${item.stream}/${item.partition}/${offset}`))
  }
  const { strangers } = source
  await source.close()
  return { items, strangers }
}

async function send(address: string, log: MemoryLog, from = 0) {
  const upstream = openNats(address)
  await upstream.recover(log.identity, log.partitions())
  await upstream.send(roundFrom(log, new Map([['events/0', from]])))
  await upstream.close()
}

const offsets = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => `events/0/${from + i}`)
const NOBODY = { otherEdges: 0, otherLogs: 0, unmarked: 0 }

describeWithNats('a JetStream read back', (start) => {
  it('gives every record with its offset, partition by partition, and nothing where there is no stream', async () => {
    const { address } = await start()
    const log = new MemoryLog().addStream('events', 2)
    expect(await audit(address, log)).toEqual({ items: [], strangers: NOBODY })
    log.appendMany('events', 0, 30)
    log.appendMany('events', 1, 3)
    await send(address, log)
    const items = [...offsets(0, 30), 'events/1/0', 'events/1/1', 'events/1/2']
    expect(await audit(address, log)).toEqual({ items, strangers: NOBODY })
  })

  it('says where the stream has removed something, and only there', async () => {
    const { address } = await start()
    const log = new MemoryLog().addStream('events', 1)
    for (const from of [0, 10, 20, 30]) {
      log.appendMany('events', 0, 10)
      await send(address, log, from)
    }
    await withStreams(address, (streams) => streams.deleteMessage('headwater', 3))
    const middle = [...offsets(0, 20), 'gap events/0', ...offsets(30, 40)]
    expect((await audit(address, log)).items).toEqual(middle)
    await withStreams(address, (streams) => streams.purge('headwater', { seq: 2 }))
    const first = ['gap events/0', ...offsets(10, 20), 'gap events/0', ...offsets(30, 40)]
    expect((await audit(address, log)).items).toEqual(first)
    await withStreams(address, (streams) => streams.purge('headwater'))
    expect((await audit(address, log)).items).toEqual(['gap events/0'])
  })

  it('does not excuse what is missing where nothing was removed', async () => {
    const { address } = await start()
    const log = new MemoryLog().addStream('events', 1)
    log.appendMany('events', 0, 10)
    await send(address, log, 5)
    expect((await audit(address, log)).items).toEqual(offsets(5, 10))
  })

  it('does not excuse what a moved position has skipped, where something else was removed', async () => {
    const { address } = await start()
    const log = new MemoryLog().addStream('events', 1)
    for (const from of [0, 10]) {
      log.appendMany('events', 0, 10)
      await send(address, log, from)
    }
    await withStreams(address, (streams) => streams.purge('headwater', { seq: 2 }))
    log.appendMany('events', 0, 20)
    const upstream = openNats(address)
    await upstream.recover(log.identity, log.partitions())
    const proof = await logProof(log, 'events', 0, 30)
    const moved = { stream: 'events', partition: 0, fromOffset: 30, nextOffset: 30, batches: [], proof }
    await upstream.send({ parts: [moved] })
    await upstream.close()
    await send(address, log, 30)
    expect((await audit(address, log)).items).toEqual([
      'gap events/0',
      ...offsets(10, 20),
      ...offsets(30, 40),
    ])
  })

  it('counts what is of another log, or of nobody, and gives none of it', async () => {
    const { address } = await start()
    const log = new MemoryLog().addStream('events', 1)
    log.appendMany('events', 0, 4)
    await send(address, log)
    const { connect } = await import('@nats-io/transport-node')
    const connection = await connect({ servers: address })
    await connection.request('headwater.edge-a.events.0', 'hello')
    await connection.close()
    const other = new MemoryLog(testIdentity('edge-a', '22222222-2222-4222-8222-222222222222')).addStream(
      'events',
      1,
    )
    expect(await audit(address, other)).toEqual({
      items: [],
      strangers: { ...NOBODY, otherLogs: 4, unmarked: 1 },
    })
    expect((await audit(address, log)).strangers).toEqual({ ...NOBODY, unmarked: 1 })
  })
})
