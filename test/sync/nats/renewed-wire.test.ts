import { expect, it } from 'vitest'
import { systemClock } from '../../../sync/clock.ts'
import { RenewedWire } from '../../../sync/nats/renewed-wire.ts'
import type { NatsWire, Publication, StreamFacts } from '../../../sync/nats/wire.ts'

const LOOK_MS = 30_000
const PUBLICATION = {} as Publication

/** A connection whose publications a test answers. */
class TestWire {
  readonly messageBytesMax = 1
  readonly answers: ((seq: number) => void)[] = []
  readonly created: string
  isClosed = false

  constructor(created: string) {
    this.created = created
  }

  async stream(name: string): Promise<StreamFacts> {
    return { name, created: this.created } as StreamFacts
  }

  publish(): Promise<number> {
    return new Promise((resolve) => this.answers.push(resolve))
  }

  close(): void {
    this.isClosed = true
  }
}

async function open() {
  const wires: TestWire[] = []
  const failures: unknown[] = []
  const renewed: string[] = []
  const world = { now: 0, fingerprint: 'one', created: 'at first', opens: async () => {} }
  const wire = await RenewedWire.open({
    load: async () => ({ login: null, material: {}, fingerprint: world.fingerprint }),
    open: async () => {
      await world.opens()
      const opened = new TestWire(world.created)
      wires.push(opened)
      return opened as unknown as NatsWire
    },
    clock: { ...systemClock, monotonic: () => world.now },
    onRenewFailed: (error) => void failures.push(error),
    onRenewed: () => void renewed.push(world.fingerprint),
  })
  /** Lets all that is ready happen. */
  const settle = () => new Promise((resolve) => setImmediate(resolve))
  /** The next request finds another file, and the connection is replaced beside it. */
  const change = async (fingerprint: string) => {
    world.now += LOOK_MS
    world.fingerprint = fingerprint
    await wire.stream('headwater')
    await settle()
  }
  return { wire, wires, failures, renewed, world, settle, change }
}

it('ends what is under way where it was sent, sends what is new on the new connection, and closes the old one then', async () => {
  const { wire, wires, change, settle } = await open()
  const first = wire.publish(PUBLICATION)
  await change('two')
  expect(wires).toHaveLength(2)
  const second = wire.publish(PUBLICATION)
  expect(wires.map(({ answers, isClosed }) => [answers.length, isClosed])).toEqual([
    [1, false],
    [1, false],
  ])
  wires[0]!.answers[0]!(7)
  expect(await first).toBe(7)
  await settle()
  expect(wires.map(({ isClosed }) => isClosed)).toEqual([true, false])
  wires[1]!.answers[0]!(8)
  expect(await second).toBe(8)
})

it('closes all of its connections with itself, one that is just being opened, too', async () => {
  const { wire, wires, world, change, settle } = await open()
  void wire.publish(PUBLICATION)
  await change('two')
  let opened = () => {}
  world.opens = () =>
    new Promise((resolve) => {
      opened = resolve
    })
  await change('three')
  wire.close()
  opened()
  await settle()
  expect(wires.map(({ isClosed }) => isClosed)).toEqual([true, true, true])
})

it('looks at the files twice a minute at most, and opens nothing where they are as they were', async () => {
  const { wires, world, wire, change, settle } = await open()
  await change('one')
  world.fingerprint = 'two'
  world.now += LOOK_MS - 1
  await wire.stream('headwater')
  await settle()
  expect(wires).toHaveLength(1)
  world.now += 1
  await wire.stream('headwater')
  await settle()
  expect(wires).toHaveLength(2)
})

it('stays with the old connection where the new one shows another stream of that name, and tries again', async () => {
  const { wires, failures, renewed, world, wire, change, settle } = await open()
  await wire.stream('headwater')
  world.created = 'another time'
  await change('two')
  expect(failures, 'it may be gone in two seconds').toEqual([])
  world.now += 2000
  await wire.stream('headwater')
  await settle()
  expect(failures).toEqual([expect.objectContaining({ fault: 'permission' })])
  expect(wires.map(({ isClosed }) => isClosed)).toEqual([false, true, true])
  expect(renewed).toEqual([])
  world.created = 'at first'
  await change('two')
  expect(wires.map(({ isClosed }) => isClosed)).toEqual([true, true, true, false])
  expect(renewed).toEqual(['two'])
})

it('says nothing of a failure that is gone at the second look', async () => {
  const { wires, failures, renewed, world, wire, change, settle } = await open()
  world.opens = async () => {
    throw new Error('the key is not the one of the certificate')
  }
  await change('two')
  world.opens = async () => {}
  world.now += 2000
  await wire.stream('headwater')
  await settle()
  expect(wires.map(({ isClosed }) => isClosed)).toEqual([true, false])
  expect({ failures, renewed }).toEqual({ failures: [], renewed: [] })
})
