/**
 * Devices that sleep, are reset and vanish, on wires that lose, copy and delay, at a gateway whose broker goes and comes: what a device saw
 * acknowledged is with the broker once and in its order, and what the broker had for a device of QoS 1 and 2 has reached it.
 */
import { describe, expect, it } from 'vitest'
import { playLives, type Random } from '../../support/random.ts'
import { FakeClock, type FakeUplink, settled } from './fakes.ts'
import { LossyWire } from './lossy-wire.ts'
import { SimDevice } from './sim-device.ts'
import { Bench } from './support.ts'

const DEVICES = 12
const STEPS = 60
const STEP_MS = 500
/** Enough for all that is under way to come to its end on good wires. */
const DRAIN_MS = 120_000

class World {
  readonly bench: Bench
  readonly devices: SimDevice[] = []
  readonly #random: Random
  readonly #faults = { loss: 0.15, copies: 0.1, delayMsMax: 60 }
  readonly #toGateway = new Map<string, LossyWire>()
  readonly #toDevice = new Map<string, LossyWire>()
  /** What was published for a device that is to get all of it. */
  readonly wanted = new Map<string, Set<string>>()
  #messages = 0

  constructor(random: Random) {
    this.#random = random
    this.bench = new Bench({ config: { retries: 3, sleepingMessagesMax: 20 }, random: () => random.next() })
    const { clock, uplink, link } = this.bench
    link.onSend = (peer, bytes) => this.#toDevice.get(peer)?.send(bytes)
    uplink.lag = () => new Promise((resolve) => void clock.after(random.between(0, 30), resolve))
    uplink.decide = () => (random.next() < 0.03 ? 'losing' : null)
    for (let at = 0; at < DEVICES; at++) this.#add(`d${at}`, at % 3 === 0)
  }

  async start(): Promise<void> {
    await this.bench.gateway.start()
    for (const device of this.devices) device.start()
  }

  async step(): Promise<void> {
    const { uplink, clock } = this.bench
    const random = this.#random
    if (random.next() < 0.1) uplink.setUp(!uplink.isUp)
    if (random.next() < 0.15) this.#any(this.devices)!.reset()
    if (random.next() < 0.03) uplink.takeOver(this.#any(this.devices)!.clientId)
    if (random.next() < 0.6) this.#publishDown()
    await clock.advance(STEP_MS)
  }

  /** All is well from here on: what is under way ends. */
  async drain(): Promise<void> {
    const { uplink, clock } = this.bench
    uplink.setUp(true)
    uplink.decide = () => null
    Object.assign(this.#faults, { loss: 0, copies: 0 })
    for (const device of this.devices) device.finish()
    await clock.advance(DRAIN_MS)
  }

  #add(clientId: string, isClean: boolean): void {
    const { clock, link } = this.bench
    const random = this.#random
    const toGateway = new LossyWire(clock, random, this.#faults, (bytes) => {
      link.listener?.onMessage(clientId, bytes)
    })
    const device = new SimDevice(clientId, isClean, clock, random, (bytes) => toGateway.send(bytes))
    this.#toGateway.set(clientId, toGateway)
    this.#toDevice.set(clientId, new LossyWire(clock, random, this.#faults, (bytes) => device.receive(bytes)))
    this.devices.push(device)
    if (!isClean) this.wanted.set(clientId, new Set())
  }

  #publishDown(): void {
    const { clientId } = this.#any(this.devices)!
    const { uplink } = this.bench
    const qos = this.#random.next() < 0.5 ? 1 : 2
    // The broker keeps it for those that have subscribed.
    const stored = uplink.stored.get(clientId)
    if (stored === undefined || !stored.filters.has('down/#')) return
    const text = `message ${this.#messages++}`
    uplink.deliver(clientId, { topic: `down/${this.#random.between(0, 9)}`, payload: Buffer.from(text), qos })
    this.wanted.get(clientId)?.add(text)
  }

  #any<Value>(all: Iterable<Value>): Value | undefined {
    const list = [...all]
    return list[this.#random.between(0, list.length - 1)]
  }
}

function publishedBy(uplink: FakeUplink, clientId: string): string[] {
  return uplink.published
    .filter((entry) => entry.clientId === clientId)
    .map(({ message }) => Buffer.from(message.payload).toString())
}

describe('a world of devices', () => {
  it('has each acknowledged message once and in order with the broker, and each of the broker’s with its device', async () => {
    const seen = { acknowledged: 0, received: 0, resets: 0, sleeps: 0, seen: 0, made: 0 }
    await playLives(6, async (random) => {
      const world = new World(random)
      await world.start()
      for (let step = 0; step < STEPS; step++) await world.step()
      await world.drain()
      const { uplink, gateway } = world.bench
      for (const device of world.devices) {
        const { clientId, acknowledged, received } = device
        const published = publishedBy(uplink, clientId)
        expect(new Set(published).size, `${clientId}: once`).toBe(published.length)
        const accepted = new Set(acknowledged)
        expect(
          published.filter((text) => accepted.has(text)),
          `${clientId}: acknowledged`,
        ).toEqual(acknowledged)
        const numbers = published.map((text) => Number(text.split(' ')[1]))
        expect(numbers, `${clientId}: in order`).toEqual(numbers.toSorted((a, b) => a - b))
        const missing = [...(world.wanted.get(clientId) ?? [])].filter((text) => !received.has(text))
        expect(missing, `${clientId}: delivered`).toEqual([])
        if (!device.isClean) expect(uplink.stored.get(clientId)!.queue, clientId).toEqual([])
        seen.acknowledged += acknowledged.length
        seen.received += received.size
        seen.resets += device.resets
        seen.sleeps += device.sleeps
      }
      for (const status of gateway.devices()) {
        seen.seen += status.retransmissionsSeen
        seen.made += status.retransmissionsMade
      }
    })
    // A world in which nothing happens proves nothing.
    expect(Math.min(...Object.values(seen)), JSON.stringify(seen)).toBeGreaterThan(20)
  })

  it('leaves nothing behind when its devices vanish', async () => {
    await playLives(2, async (random) => {
      const world = new World(random)
      await world.start()
      for (let step = 0; step < 20; step++) await world.step()
      world.bench.uplink.setUp(true)
      for (const device of world.devices) device.vanish()
      await world.bench.clock.advance(300_000)
      await settled()
      const { gateway, uplink, clock } = world.bench
      for (const { state, queue, clientId } of gateway.devices()) {
        expect([state, queue], clientId).toEqual([expect.stringMatching(/lost|disconnected/), 0])
      }
      expect(uplink.sessions.size).toBe(0)
      expect(gateway.routes).toBeLessThanOrEqual(DEVICES)
      expect(clock.timers).toBe(0)
    })
  })
})

describe('the wire of the simulation', () => {
  it('keeps the order, and loses and copies', async () => {
    const clock = new FakeClock()
    const got: number[] = []
    await playLives(1, async (random) => {
      const faults = { loss: 0.2, copies: 0.2, delayMsMax: 50 }
      const wire = new LossyWire(clock, random, faults, (bytes) => got.push(bytes.readUInt16BE()))
      for (let at = 0; at < 500; at++) {
        const bytes = Buffer.alloc(2)
        bytes.writeUInt16BE(at)
        wire.send(bytes)
        await clock.advance(5)
      }
      await clock.advance(100)
    })
    expect(got).toEqual(got.toSorted((a, b) => a - b))
    expect(new Set(got).size).toBeLessThan(460)
    expect(got.length).toBeGreaterThan(new Set(got).size)
  })
})
