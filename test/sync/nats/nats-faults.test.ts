/** Two processes as one edge, and servers that have lost, removed or replaced what they acknowledged. */
import { expect, it } from 'vitest'
import { type CachedCheckpoint, decideStart, type Start } from '../../../sync/checkpoint.ts'
import { connectNats } from '../../../sync/nats/connect.ts'
import type { NatsUpstream } from '../../../sync/nats/nats-upstream.ts'
import type { NatsWire } from '../../../sync/nats/wire.ts'
import type { Recovered } from '../../../sync/upstream.ts'
import type { NatsServer } from '../../support/nats/server.ts'
import { withStreams } from '../../support/nats/streams.ts'
import { describeWithNats } from '../../support/nats/vitest.ts'
import { MemoryLog, testIdentity } from '../memory-log.ts'
import { roundFrom } from '../upstream-harness.ts'
import { expectChain, messagesOf, natsConfig, openNats, recordsOf } from './open-nats.ts'

const SUBJECT = 'headwater.edge-a.events.0'

function newLog(records = 0): MemoryLog {
  const log = new MemoryLog().addStream('events', 1)
  log.appendMany('events', 0, records)
  return log
}

async function caught(work: Promise<unknown>): Promise<{ code: string; hint: string; retryable: boolean }> {
  return work.then(
    () => {
      throw new Error('an error was expected')
    },
    (error) => error,
  )
}

/** What an edge does at a start and after every error. */
async function go(upstream: NatsUpstream, log: MemoryLog, cache: CachedCheckpoint | null = null) {
  const recovered = await upstream.recover(log.identity, log.partitions())
  const { refused, ...start } = await decideStart(log, log.partitions(), recovered, cache)
  for (const refusal of refused.values()) throw refusal
  return { recovered, start }
}

async function sendRest(
  upstream: NatsUpstream,
  log: MemoryLog,
  { start }: { start: Pick<Start, 'positions'> },
) {
  const round = roundFrom(log, start.positions)
  if (round.parts.length > 0) await upstream.send(round)
}

/** What an edge remembers of a position that was acknowledged. */
function remembered(recovered: Recovered, next: number): CachedCheckpoint {
  const { place } = recovered.partitions.get('events/0')!
  return { incarnation: testIdentity().incarnation, positions: { 'events/0': { next, place } } }
}

async function values(address: string): Promise<(string | null)[]> {
  const messages = await messagesOf(address, 'events', 0)
  expectChain(messages)
  return recordsOf(messages).map(({ value }) => value)
}

const numbered = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => `events/0/${from + i}`)

async function withWire<T>(address: string, work: (wire: NatsWire) => Promise<T>): Promise<T> {
  const wire = await connectNats(natsConfig(address), 'headwater-test-operator')
  try {
    return await work(wire)
  } finally {
    wire.close()
  }
}

/**
 * What is written meanwhile is gone afterwards, as a power cut leaves a server that had not synced what it acknowledged.
 * @param upstreams that are connected to it
 */
async function losing<T>(
  server: NatsServer,
  upstreams: readonly NatsUpstream[],
  write: () => Promise<T>,
): Promise<T> {
  const down = async () => {
    await Promise.all(upstreams.map((upstream) => upstream.disconnect()))
    await server.kill()
  }
  await down()
  await server.copyStore()
  await server.start()
  const written = await write()
  await down()
  await server.restoreStore()
  await server.start()
  return written
}

describeWithNats('two processes as one edge on NATS', (start) => {
  it('stop the one that was overtaken, at its next round, and again only after a person let it go on', async () => {
    const { address } = await start()
    const [log, clone] = [newLog(20), newLog(20)]
    const first = openNats(address)
    const opened = await go(first, log)
    await sendRest(first, log, opened)
    const second = openNats(address)
    const overtaking = await go(second, clone)
    clone.append('events', 0, [{ value: 'of the clone' }])
    await sendRest(second, clone, overtaking)

    log.append('events', 0, [{ value: 'of the first' }])
    const error = await caught(first.send(roundFrom(log, new Map([['events/0', 20]]))))
    expect(error).toMatchObject({ code: 'HW_FENCED', retryable: false })
    expect(error.hint).toContain('headwater rename')
    expect(await values(address)).toEqual([...numbered(0, 20), 'of the clone'])
    // A person resumes the one that was stopped: its log is not what stands upstream.
    expect(await caught(go(first, log))).toMatchObject({ code: 'HW_CHECKPOINT_MISMATCH' })
    await first.close()
    await second.close()
  })

  it('are noticed by a recovery, too', async () => {
    const { address } = await start()
    const log = newLog(10)
    const first = openNats(address)
    await sendRest(first, log, await go(first, log))
    const second = openNats(address)
    const clone = newLog(15)
    await sendRest(second, clone, await go(second, clone))
    await first.disconnect()
    expect(await caught(go(first, log))).toMatchObject({ code: 'HW_FENCED' })
    await first.close()
    await second.close()
  })

  it('are not what a message of an earlier life is that arrives late, but once alone', async () => {
    const { address } = await start()
    const log = newLog(10)
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    let publications = 0
    const earlier = openNats(address, {
      around: async (method, ask) => {
        if (method === 'publish' && publications++ > 0) await held
        return ask()
      },
    })
    await sendRest(earlier, log, await go(earlier, log))
    log.appendMany('events', 0, 10)
    const late = earlier.send(roundFrom(log, new Map([['events/0', 10]])))

    const later = openNats(address)
    const { start: begun } = await go(later, log)
    expect(begun.positions.get('events/0')).toBe(10)
    release()
    await late
    log.appendMany('events', 0, 5)
    const error = await caught(later.send(roundFrom(log, begun.positions)))
    expect(error).toMatchObject({ code: 'HW_UPSTREAM_ANSWER', retryable: true })
    const again = await go(later, log)
    expect(again.start.positions.get('events/0')).toBe(20)
    // What a dead process cannot do: send once more.
    await earlier.send(roundFrom(log, again.start.positions))
    log.appendMany('events', 0, 5)
    expect(await caught(later.send(roundFrom(log, again.start.positions)))).toMatchObject({
      code: 'HW_FENCED',
    })
    expect(await values(address)).toEqual(numbered(0, 25))
    await earlier.close()
    await later.close()
  })

  it('are not what an answer is that was lost: the next recovery finds the message, and nobody is fenced', async () => {
    const { address } = await start()
    const log = newLog(10)
    let lose = false
    const upstream = openNats(address, {
      around: async (method, ask) => {
        const answer = await ask()
        if (lose && method === 'publish') throw new Error('the answer was lost')
        return answer
      },
    })
    await sendRest(upstream, log, await go(upstream, log))
    for (const position of [20, 30]) {
      log.appendMany('events', 0, 10)
      const before = await go(upstream, log)
      lose = true
      await caught(sendRest(upstream, log, before))
      lose = false
      await upstream.disconnect()
      const again = await go(upstream, log)
      expect(again.start.positions.get('events/0')).toBe(position)
    }
    expect(await values(address)).toEqual(numbered(0, 30))
    await upstream.close()
  })
})

describeWithNats('a NATS stream that changes behind an edge', (start) => {
  it('was purged: what the edge remembers counts, and nothing is sent twice', async () => {
    const { address } = await start()
    const log = newLog(20)
    const upstream = openNats(address)
    const opened = await go(upstream, log)
    await sendRest(upstream, log, opened)
    const cache = remembered(opened.recovered, 20)
    await withStreams(address, (streams) => streams.purge('headwater', { filter: SUBJECT }))
    log.appendMany('events', 0, 5)
    for (const one of [upstream, openNats(address)]) {
      const { start: begun } = await go(one, log, cache)
      expect(begun).toEqual({ positions: new Map([['events/0', 20]]), warnings: [] })
      if (one === upstream) continue
      await one.send(roundFrom(log, begun.positions))
      await one.close()
    }
    expect(await values(address)).toEqual(numbered(20, 25))
    await upstream.close()
  })

  it('was purged while rounds go on: the next recovery goes on from what the edge remembers', async () => {
    const { address } = await start()
    const log = newLog(20)
    const upstream = openNats(address)
    const opened = await go(upstream, log)
    await sendRest(upstream, log, opened)
    await withStreams(address, (streams) => streams.purge('headwater', { filter: SUBJECT }))
    log.appendMany('events', 0, 5)
    const rest = roundFrom(log, new Map([['events/0', 20]]))
    expect(await caught(upstream.send(rest))).toMatchObject({ code: 'HW_UPSTREAM_ANSWER', retryable: true })
    const { start: begun } = await go(upstream, log, remembered(opened.recovered, 20))
    expect(begun.positions.get('events/0')).toBe(20)
    await upstream.send(rest)
    expect(await values(address)).toEqual(numbered(20, 25))
    await upstream.close()
  })

  it('was deleted and created again: it is another place, and gets the log from its start', async () => {
    const { address } = await start()
    const log = newLog(20)
    const upstream = openNats(address)
    const opened = await go(upstream, log)
    await sendRest(upstream, log, opened)
    await withStreams(address, (streams) => streams.delete('headwater'))
    await upstream.disconnect()
    const again = await go(upstream, log, remembered(opened.recovered, 20))
    expect(again.start).toEqual({ positions: new Map([['events/0', 0]]), warnings: [] })
    await sendRest(upstream, log, again)
    expect(await values(address)).toEqual(numbered(0, 20))
    await upstream.close()
  })

  it('lost its tail in a power cut: what was lost is sent again, with a warning', async () => {
    const server = await start()
    const log = newLog(20)
    const upstream = openNats(server.address)
    await sendRest(upstream, log, await go(upstream, log))
    const more = await losing(server, [upstream], async () => {
      log.appendMany('events', 0, 30)
      const opened = await go(upstream, log)
      await sendRest(upstream, log, opened)
      expect(await values(server.address)).toEqual(numbered(0, 50))
      return opened
    })
    log.appendMany('events', 0, 5)
    for (const one of [openNats(server.address), upstream]) {
      const { start: begun } = await go(one, log, remembered(more.recovered, 50))
      expect(begun.positions.get('events/0')).toBe(20)
      expect(begun.warnings).toEqual([expect.stringContaining('lost 30 acknowledged records of events/0')])
      if (one === upstream) await upstream.send(roundFrom(log, begun.positions))
      await one.close()
    }
    expect(await values(server.address)).toEqual(numbered(0, 55))
  })

  it('lost all that it had of a partition: that is no purge, and all is sent again', async () => {
    const server = await start()
    const log = newLog()
    const upstream = openNats(server.address)
    await go(upstream, log)
    const opened = await losing(server, [upstream], async () => {
      log.appendMany('events', 0, 30)
      const begun = await go(upstream, log)
      await sendRest(upstream, log, begun)
      return begun
    })
    for (const one of [openNats(server.address), upstream]) {
      const { start: begun } = await go(one, log, remembered(opened.recovered, 30))
      expect(begun.positions.get('events/0')).toBe(0)
      expect(begun.warnings).toEqual([expect.stringContaining('lost 30 acknowledged records of events/0')])
      if (one === upstream) await upstream.send(roundFrom(log, begun.positions))
      await one.close()
    }
    expect(await values(server.address)).toEqual(numbered(0, 30))
  })

  it.each([
    ['nobody wrote since', 0],
    ['others have written over since', 3],
  ])(
    'lost a tail where it also removes, %s: a process that knows its sequence is not taken in',
    async (_since, written) => {
      const server = await start()
      const other = new MemoryLog(testIdentity('edge-b')).addStream('events', 1)
      const second = openNats(server.address)
      other.appendMany('events', 0, 30, 3)
      await sendRest(second, other, await go(second, other))
      // Retention has taken something: that a subject has nothing says no more that it never had.
      await withStreams(server.address, (streams) => streams.deleteMessage('headwater', 1))
      other.appendMany('events', 0, 3)
      await sendRest(second, other, await go(second, other))
      const log = newLog(20)
      const upstream = openNats(server.address)
      const opened = await losing(server, [upstream, second], async () => {
        const begun = await go(upstream, log)
        await sendRest(upstream, log, begun)
        return begun
      })
      for (let i = 0; i < written; i++) {
        other.appendMany('events', 0, 1)
        await sendRest(second, other, await go(second, other))
        await second.disconnect()
      }
      const again = await go(upstream, log, remembered(opened.recovered, 20))
      expect(again.start.positions.get('events/0')).toBe(0)
      await sendRest(upstream, log, again)
      expect(await values(server.address)).toEqual(numbered(0, 20))
      await second.close()
      await upstream.close()
    },
  )

  it('holds a message of another program on the subject: sync stops, and says how to purge it', async () => {
    const { address } = await start()
    const log = newLog(5)
    const upstream = openNats(address)
    await go(upstream, log)
    await withWire(address, (wire) =>
      wire.publish({
        stream: 'headwater',
        subject: SUBJECT,
        headers: [],
        payload: Buffer.from('hello'),
        expectedSeq: 0,
      }),
    )
    const error = await caught(go(upstream, log))
    expect(error).toMatchObject({ code: 'HW_CHECKPOINT_MISMATCH', retryable: false })
    expect(error.hint).toContain(`nats stream purge headwater --subject '${SUBJECT}'`)
    await upstream.close()
  })
})
