/**
 * Random lives of a machine beside the truth: boots with any time on the clock, steps by hand, a time service that comes and goes,
 * sleep, processes that end, commits that fail, rolls, retention. The model knows the right time of every record.
 * HEADWATER_TEST_SEED plays a life again.
 */
import { describe, expect, it } from 'vitest'
import type { ClockWatch } from '../../../broker/clock/clock-watch.ts'
import { STEP_MS_MIN } from '../../../broker/clock/epoch.ts'
import { playLives, type Random } from '../../support/random.ts'
import { DAY, Machine, T0 } from './machine.ts'
import { type Outcome, SimulatedChain } from './simulated-chain.ts'

const LIVES = 60
const STEPS = 300
/** Rounding of both clocks, and of the correction. */
const EXACT_MS = 3

interface ModelRecord {
  readonly commit: number
  readonly timestamp: number
  readonly rightTime: number
  readonly boot: string
  readonly wasTrusted: boolean
  /** The moment of the life in which it was stamped. */
  readonly moment: number
}

interface Lane {
  readonly chain: SimulatedChain
  open: Omit<ModelRecord, 'commit'>[]
  records: ModelRecord[]
  /** By boot: what was stamped before this moment is known to this chain's disk to be right or corrected. */
  readonly known: Map<string, number>
}

class Life {
  readonly #random: Random
  readonly #machine: Machine
  readonly #lanes: Lane[] = [0, 1].map(() => ({
    chain: new SimulatedChain(),
    open: [],
    records: [],
    known: new Map<string, number>(),
  }))
  #watch!: ClockWatch
  #rightOffset: number
  /** The kernel's flag. */
  #isSynchronized = false
  #moment = 0
  /** The last moment in which this process trusted its clock. */
  #trustedAt = -1
  #notes = 0
  #seals = 0

  constructor(random: Random) {
    this.#random = random
    const tells = random.next() < 0.5
    this.#machine = new Machine(T0).withSystemd(() => tells && this.#isSynchronized)
    this.#rightOffset = T0 - this.#elapsed()
  }

  async run(): Promise<{ corrected: number; untrusted: number; notes: number; seals: number }> {
    await this.#boot()
    for (let step = 0; step < STEPS; step++) {
      await this.#step()
      this.#observe()
    }
    for (const lane of this.#lanes) this.#seal(lane, 'durable')
    const counts = this.#check()
    // and the same from disk
    for (const { chain } of this.#lanes) chain.open(null)
    expect(this.#check()).toEqual(counts)
    return { ...counts, notes: this.#notes, seals: this.#seals }
  }

  #elapsed(): number {
    return this.#machine.monotonic() + this.#machine.suspended()
  }

  #rightTime(): number {
    return this.#elapsed() + this.#rightOffset
  }

  async #step(): Promise<void> {
    const roll = this.#random.between(0, 99)
    const lane = this.#lanes[this.#random.next() < 0.85 ? 0 : 1]!
    if (roll < 40) this.#stamp(lane)
    else if (roll < 65) this.#seal(lane, this.#outcome())
    else if (roll < 69) this.#synchronize()
    else if (roll < 73) this.#setByHand()
    else if (roll < 83) await this.#wait()
    else if (roll < 87) this.#rollSegment(lane)
    else if (roll < 90) this.#retain(lane)
    else if (roll < 92) this.#sleep()
    else if (roll < 96) this.#restart()
    else await this.#boot()
  }

  #outcome(): Outcome {
    const roll = this.#random.between(0, 9)
    return roll < 8 ? 'durable' : roll < 9 ? 'lost' : 'kept'
  }

  #stamp(lane: Lane): void {
    this.#machine.hold(this.#random.between(0, 20))
    const timestamp = this.#watch.now()
    this.#observe()
    lane.open.push({
      timestamp,
      rightTime: this.#rightTime(),
      boot: this.#machine.bootId,
      wasTrusted: this.#watch.isTrusted(),
      moment: ++this.#moment,
    })
    // a commit does not wait for longer than a step is wide
    if (lane.open.length > 8) this.#seal(lane, this.#outcome())
  }

  #seal(lane: Lane, outcome: Outcome): void {
    this.#seals++
    if (lane.chain.seal(outcome)) this.#notes++
    if (outcome !== 'lost') {
      for (const record of lane.open) lane.records.push({ ...record, commit: lane.chain.commit })
      if (this.#trustedAt >= 0) lane.known.set(this.#machine.bootId, this.#trustedAt)
    }
    lane.open = []
  }

  #synchronize(): void {
    this.#machine.synchronize(this.#rightTime())
    this.#isSynchronized = true
  }

  /**
   * By more than a minute, and after what the clock was is on disk: else the next process of this boot can take the time service's
   * file for later than this (broker/clock/DESIGN.md).
   */
  #setByHand(): void {
    this.#watch.trustedNow()
    this.#observe()
    this.#seal(this.#lanes[0]!, 'durable')
    const size = this.#random.between(60_000, 3 * DAY)
    this.#machine.hold(500)
    this.#isSynchronized = false
    this.#machine.step(this.#random.next() < 0.5 ? size : -size)
    // what comes next is this clock's: a step by hand and one by the time service are not one
    this.#watch.trustedNow()
  }

  async #wait(): Promise<void> {
    for (const lane of this.#lanes) this.#seal(lane, 'durable')
    await this.#machine.pass(this.#random.between(1, 3_600_000))
  }

  #sleep(): void {
    for (const lane of this.#lanes) this.#seal(lane, 'durable')
    this.#machine.sleep(this.#random.between(1, DAY))
  }

  #rollSegment({ chain }: Lane): void {
    chain.roll()
  }

  #retain(lane: Lane): void {
    lane.chain.firstCommit = this.#random.between(lane.chain.firstCommit, lane.chain.commit + 1)
    lane.records = lane.records.filter(({ commit }) => commit >= lane.chain.firstCommit)
  }

  /** The process ends, and the next one starts in the same boot. */
  #restart(): void {
    this.#trustedAt = -1
    this.#watch?.close()
    this.#machine.hold(200)
    for (const lane of this.#lanes) lane.open = []
    const last = this.#lanes
      .map(({ chain }) => chain.state?.last)
      .filter((one) => one?.bootId === this.#machine.bootId)
      .sort((a, b) => b!.beganAt - a!.beganAt)[0]
    this.#watch = this.#machine.start({ last: last ?? null }).watch
    for (const { chain } of this.#lanes) chain.open(this.#watch)
  }

  async #boot(): Promise<void> {
    const right = this.#rightTime() + this.#random.between(0, DAY)
    const wrong = right - this.#random.between(1, 30 * DAY)
    this.#machine.boot([right, wrong, wrong, 0][this.#random.between(0, 3)]!)
    this.#rightOffset = right - this.#elapsed()
    this.#isSynchronized = false
    if (this.#random.next() < 0.2) this.#synchronize()
    this.#restart()
    await this.#machine.pass(0)
  }

  #observe(): void {
    if (this.#watch.isTrusted()) this.#trustedAt = ++this.#moment
  }

  #check(): { corrected: number; untrusted: number } {
    const counts = { corrected: 0, untrusted: 0 }
    for (const { chain, records, known } of this.#lanes) {
      for (const record of records) {
        const found = chain.state.of(record.commit)?.(record.timestamp) ?? null
        const wrongBy = record.timestamp - record.rightTime
        const isKnown = record.wasTrusted || (known.get(record.boot) ?? -1) > record.moment
        const place = `commit ${record.commit}, moment ${record.moment}, wrong by ${wrongBy}`
        if (record.wasTrusted) expect(Math.abs(wrongBy), place).toBeLessThanOrEqual(EXACT_MS)
        if (!isKnown) {
          expect(found, place).toEqual({ trust: 'untrusted' })
          counts.untrusted++
        } else if (Math.abs(wrongBy) <= STEP_MS_MIN) expect(found, place).toBeNull()
        else {
          expect(found?.trust, place).toBe('corrected')
          const error = Math.abs(found!.correctedTimestamp! - record.rightTime)
          expect(error, place).toBeLessThanOrEqual(EXACT_MS)
          counts.corrected++
        }
      }
    }
    return counts
  }
}

describe('the clock of a log beside the truth', () => {
  it(`agrees with it through ${LIVES} random lives`, async () => {
    const sum = { corrected: 0, untrusted: 0, notes: 0, seals: 0 }
    await playLives(LIVES, async (random) => {
      const counts = await new Life(random).run()
      for (const name of Object.keys(sum) as (keyof typeof sum)[]) sum[name] += counts[name]
    })
    // the lives had something to show
    expect(sum.corrected).toBeGreaterThan(100)
    expect(sum.untrusted).toBeGreaterThan(100)
    expect(sum.notes).toBeLessThan(sum.seals)
  })
})
