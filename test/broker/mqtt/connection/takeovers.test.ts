/** Two clients with one client id that end each other's connections for ever, and what is not meant by it. */
import type { IConnackPacket } from 'mqtt-packet'
import { describe, expect, it } from 'vitest'
import { OPEN_ACCESS } from '../../../../broker/mqtt/connection/access.ts'
import { Reason } from '../../../../broker/mqtt/packets/protocol-error.ts'
import { type FrontTest, startFront, type TestClient } from './support.ts'

const TEXT = "clients with one client id end each other's connections again and again"

/** Has sent its CONNECT; `isIn` once it has its CONNACK. */
function begin(test: FrontTest, address: string, options: { clientId?: string; username?: string } = {}) {
  const client = test.open(5, address)
  const state = { client, isIn: false, connack: Promise.resolve<IConnackPacket | null>(null) }
  state.connack = client.connect(options).then(
    (connack) => {
      state.isIn = connack.reasonCode === 0
      return connack
    },
    () => null,
  )
  return state
}

/** What the event loop has by now. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 30; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** Seconds until it is in; `most` where it is not by then. */
async function secondsUntilIn(test: FrontTest, state: { isIn: boolean }, most = 20): Promise<number> {
  for (let seconds = 0; ; seconds++) {
    await settled()
    if (state.isIn || seconds === most) return seconds
    test.seconds(1)
  }
}

/** Each time one is thrown out it comes back after a second. @returns how long each had to wait */
async function fight(test: FrontTest, times: number, clientId = 'c1'): Promise<number[]> {
  const waits: number[] = []
  for (let n = 0; n < times; n++) {
    const next = begin(test, n % 2 === 0 ? '192.0.2.1' : '192.0.2.2', { clientId })
    waits.push(await secondsUntilIn(test, next))
    test.seconds(1)
  }
  return waits
}

async function isConnected(client: TestClient): Promise<boolean> {
  if (client.isClosed) return false
  await client.handled()
  return true
}

describe('clients with one client id', () => {
  it('wait longer and longer before they take over from each other, and one line says why and what to do', async () => {
    const test = await startFront()
    expect(await fight(test, 12)).toEqual([0, 0, 0, 0, 0, 1, 2, 4, 4, 8, 8, 8])
    const [first, ...more] = test.sink.matching(TEXT)
    expect(more).toEqual([])
    expect(first).toMatchObject({
      level: 'warn',
      message: expect.stringContaining('give each an id of its own'),
      fields: { client: 'c1', from: '192.0.2.2', other: '192.0.2.1', waitsSeconds: 1 },
    })
  })

  it('take over at most six times a minute or so, however fast they come back', async () => {
    const test = await startFront()
    await fight(test, 20)
    const waits = await fight(test, 10)
    const seconds = waits.reduce((sum, wait) => sum + wait + 1, 0)
    expect(seconds).toBeGreaterThan(70)
    expect(Math.max(...waits)).toBe(8)
  })

  it('do not hold up others, and are forgotten once they have stopped', async () => {
    const test = await startFront()
    await fight(test, 12)
    expect(await fight(test, 3, 'c2')).toEqual([0, 0, 0])
    test.seconds(60)
    expect(await fight(test, 3)).toEqual([0, 0, 0])
  })

  it('wait for nobody: once the other one has gone, who waits has its turn', async () => {
    const test = await startFront()
    await fight(test, 12)
    const holder = begin(test, '192.0.2.1')
    await secondsUntilIn(test, holder)
    const waiting = begin(test, '192.0.2.2')
    await settled()
    expect(waiting.isIn).toBe(false)
    holder.client.send({ cmd: 'disconnect' })
    await settled()
    expect(waiting.isIn).toBe(true)
    waiting.client.send({ cmd: 'disconnect' })
    await settled()
    const again = begin(test, '192.0.2.1')
    await settled()
    expect(again.isIn, 'nobody has the id').toBe(true)
  })

  it('wait one at a time: the last that came has the turn, and the one before is told [MQTT 5, section 3.2.2.2]', async () => {
    const test = await startFront()
    await fight(test, 12)
    const holder = begin(test, '192.0.2.1')
    await secondsUntilIn(test, holder)
    const [first, second] = [begin(test, '192.0.2.2'), begin(test, '192.0.2.3')]
    expect((await first.connack)?.reasonCode).toBe(Reason.connectionRateExceeded)
    await first.client.closed()
    expect(await isConnected(holder.client)).toBe(true)
    expect(await secondsUntilIn(test, second)).toBeGreaterThan(0)
    expect(await holder.client.disconnected()).toBe(Reason.sessionTakenOver)
  })

  it('that have gone while they waited take over from nobody', async () => {
    const test = await startFront()
    await fight(test, 12)
    const holder = begin(test, '192.0.2.1')
    await secondsUntilIn(test, holder)
    const waiting = begin(test, '192.0.2.2')
    await settled()
    waiting.client.stream.destroy()
    await settled()
    test.seconds(10)
    await settled()
    expect(await isConnected(holder.client)).toBe(true)
  })
})

it('another user who asks for an id again and again holds up nobody', async () => {
  const users = { names: ['ann'] }
  const canConnect = async ({ clientId }: { clientId: string }) => ({ name: users.names[0]!, clientId })
  const test = await startFront({ access: { ...OPEN_ACCESS, canConnect } })
  await fight(test, 12)
  const holder = begin(test, '192.0.2.1')
  await secondsUntilIn(test, holder)
  const waiting = begin(test, '192.0.2.2')
  await settled()
  users.names = ['eve']
  for (let n = 0; n < 20; n++) {
    const connack = await begin(test, '203.0.113.5').connack
    expect(connack?.reasonCode).toBe(Reason.notAuthorized)
  }
  users.names = ['ann']
  expect(await isConnected(holder.client)).toBe(true)
  expect(await secondsUntilIn(test, waiting)).toBeGreaterThan(0)
})

it('a device that comes back before its old connection is given up is not held up, once in ten seconds', async () => {
  const test = await startFront()
  for (let n = 0; n < 20; n++) {
    const next = begin(test, '192.0.2.1')
    expect(await secondsUntilIn(test, next)).toBe(0)
    test.seconds(10)
  }
  expect(test.sink.matching(TEXT)).toEqual([])
})

it('a fleet of a thousand that comes back at once is not held up', async () => {
  const test = await startFront({ connectionsMax: 2_000 })
  for (let round = 0; round < 2; round++) {
    const fleet = Array.from({ length: 1000 }, (_, n) =>
      begin(test, '192.0.2.1', { clientId: `sensor-${n}` }),
    )
    await Promise.all(fleet.map(({ connack }) => connack))
    expect(fleet.filter(({ isIn }) => isIn)).toHaveLength(1000)
  }
  expect(test.front.status()).toMatchObject({ clients: 1000, refused: 0 })
})
