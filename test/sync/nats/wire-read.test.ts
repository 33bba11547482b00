/** What a reader of a stream is told when the server's consumer goes while it reads. */
import { expect, it } from 'vitest'
import { connectNats } from '../../../sync/nats/connect.ts'
import { type NatsWire, NatsWireError } from '../../../sync/nats/wire.ts'
import { withStreams } from '../../support/nats/streams.ts'
import { describeWithNats } from '../../support/nats/vitest.ts'
import { natsConfig } from './open-nats.ts'

/** More than one read asks for, so that another follows. */
const MESSAGES = 80

describeWithNats('reading a stream of NATS', (start) => {
  async function read(meanwhile: (address: string) => Promise<unknown>): Promise<unknown> {
    const { address } = await start()
    const wire: NatsWire = await connectNats(natsConfig(address), 'reader')
    try {
      const limits = { replicas: 1, storage: 'memory', bytesMax: -1, ageMsMax: 0 } as const
      await wire.createStream({ name: 'events', subjects: ['events.>'], ...limits })
      for (let seq = 0; seq < MESSAGES; seq++) {
        const payload = Buffer.alloc(10_000)
        await wire.publish({ stream: 'events', subject: 'events.a', headers: [], payload, expectedSeq: seq })
      }
      let messages = 0
      for await (const _ of wire.messages('events', 'events.a', 1)) {
        if (++messages === 1) await meanwhile(address)
      }
      return messages
    } catch (error) {
      return error
    } finally {
      wire.close()
    }
  }

  it('tells a fault of the wire when the stream is deleted meanwhile', async () => {
    const told = await read((address) => withStreams(address, (streams) => streams.delete('events')))
    expect(told).toBeInstanceOf(NatsWireError)
    expect((told as NatsWireError).message).toMatch(/no responders|deleted/i)
  })

  it('reads all of a stream that nobody touches', async () => {
    expect(await read(async () => {})).toBe(MESSAGES)
  })
})
