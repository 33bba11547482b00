/** The library over a wire that does its worst, to a gateway that is killed and with resets of its own: what it says was acknowledged was taken once. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { playLives, type Random } from '../../support/random.ts'
import { BadWire } from './bad-wire.ts'
import { isSkipped } from './compilers.ts'
import { buildDriver, Device } from './device.ts'
import { Deframer, Flag, frame } from './frames.ts'
import { GatewayDouble } from './gateway-double.ts'

const LIVES = 12
const MESSAGES = 60
const STEP_MS = 20
const MS_MAX = 3_000_000
const WEATHER = { lost: 0.05, repeated: 0.03, flipped: 0.001, delayMsMax: 400 }
/** A first PUBLISH that the wire itself repeats has no DUP: to every gateway it is two messages. Serial lines do not do that. */
const WEATHER_UP = { ...WEATHER, repeated: 0 }

const skipped = isSkipped('the device library on a bad wire', 'cc')

class Life {
  readonly #device: Device
  readonly #random: Random
  readonly #up: BadWire
  readonly #down: BadWire
  readonly #deframer = new Deframer()
  readonly gateway: GatewayDouble
  readonly acknowledged: string[] = []
  readonly heard: string[] = []
  boots = 0
  #counter = 0
  /** In flight; published again from the firmware's side only with a new number. */
  #current = ''
  #now = 0

  constructor(device: Device, random: Random) {
    this.#device = device
    this.#random = random
    this.#up = new BadWire(random, WEATHER_UP)
    this.#down = new BadWire(random, WEATHER)
    this.gateway = new GatewayDouble(random, (message) => this.#down.put(this.#now, frame(message)))
  }

  async boot(): Promise<void> {
    this.boots++
    this.#counter = 0
    this.#current = ''
    this.#down.clear()
    await this.#do(
      'new dev 10',
      'topic 0 name t/even',
      'topic 1 name t/odd',
      'topic 2 name cmd',
      'sub 2 32',
      'connect',
    )
  }

  async play(): Promise<void> {
    await this.boot()
    let downs = 0
    while (this.acknowledged.length < MESSAGES || !this.gateway.isIdle) {
      this.#now += STEP_MS
      if (this.#now > MS_MAX) throw new Error(`stuck after ${this.acknowledged.length} messages`)
      const dice = this.#random.next()
      if (dice < 0.001) await this.boot()
      else if (dice < 0.003) this.gateway.restart()
      else if (dice < 0.02 && downs < MESSAGES) this.gateway.deliver(`down ${downs++}`)
      if (this.#current === '') await this.#publish()
      const bytes = this.#down.take(this.#now)
      await this.#do(`now ${this.#now}`, ...(bytes.length > 0 ? [`in ${bytes.toString('hex')}`] : []), 'poll')
      for (const message of this.#deframer.push(this.#up.take(this.#now))) this.gateway.receive(message)
      this.gateway.poll(this.#now)
    }
    expect(this.#up.lost + this.#down.lost).toBeGreaterThan(0)
    expect(this.#up.flipped + this.#down.flipped).toBeGreaterThan(0)
  }

  async #publish(): Promise<void> {
    const topic = this.#counter % 2
    this.#current = `${this.boots}/${++this.#counter}`
    await this.#do(`pub ${topic} ${Flag.qos1} ${Buffer.from(this.#current).toString('hex')}`)
  }

  async #do(...commands: string[]): Promise<void> {
    for (const line of await this.#device.do(...commands)) {
      if (line.startsWith('out ')) this.#up.put(this.#now, Buffer.from(line.slice(4), 'hex'))
      else if (line.startsWith('message '))
        this.heard.push(Buffer.from(line.split(' ')[4]!, 'hex').toString())
      else if (/^result 0 \d 0$/.test(line)) {
        this.acknowledged.push(this.#current)
        this.#current = ''
      } else if (line.startsWith('result 0')) throw new Error(`refused: ${line}`)
    }
  }
}

describe.skipIf(skipped)('the device library on a bad wire', () => {
  let driver: ReturnType<typeof buildDriver>
  beforeAll(() => {
    driver = buildDriver()
  })
  afterAll(() => driver?.remove())

  it('has each message that it calls acknowledged at the gateway once, in order; and hears each command', async () => {
    const sum = { delivered: 0, congestions: 0, restarts: 0, boots: 0 }
    await playLives(LIVES, async (random) => {
      const device = new Device(driver.path)
      try {
        const life = new Life(device, random)
        await life.play()
        const taken = life.gateway.taken.map(({ payload }) => payload)
        expect(new Set(taken).size).toBe(taken.length)
        const isAcknowledged = new Set(life.acknowledged)
        expect(taken.filter((each) => isAcknowledged.has(each))).toEqual(life.acknowledged)
        // the others were under way when the device lost its memory: one a boot at most
        const boots = new Set(
          taken.filter((each) => !isAcknowledged.has(each)).map((each) => each.split('/')[0]),
        )
        expect(taken.length - life.acknowledged.length).toBe(boots.size)
        for (const { topic, payload } of life.gateway.taken)
          expect(topic).toBe(Number(payload.split('/')[1]) % 2 === 1 ? 't/even' : 't/odd')
        expect(life.gateway.delivered.filter((each) => !life.heard.includes(each))).toEqual([])
        sum.delivered += life.gateway.delivered.length
        sum.congestions += life.gateway.congestions
        sum.restarts += life.gateway.restarts
        sum.boots += life.boots
      } finally {
        device.end()
      }
    })
    // else nothing was tried
    for (const times of Object.values(sum)) expect(times).toBeGreaterThan(LIVES)
  }, 120_000)
})
