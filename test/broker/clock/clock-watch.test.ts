import { describe, expect, it } from 'vitest'
import { ClockWatch } from '../../../broker/clock/clock-watch.ts'
import { DAY, Machine, T0 } from './machine.ts'

/** The epochs that a chain without any notes would note. */
function epochs(watch: ClockWatch) {
  return watch.epochsSince(null).map(({ trust, difference, before }) => ({ trust, difference, before }))
}

const SHUTDOWN = T0 - 5 * DAY

describe('a machine without a hardware clock', () => {
  it('is not trusted until its time service has stepped the clock; the step is seen by the next record', async () => {
    const machine = new Machine(SHUTDOWN).withSystemd()
    const { watch, changes } = machine.start()
    expect(watch.now()).toBe(SHUTDOWN)
    expect(watch.trustedNow()).toBeNull()
    await machine.pass(25_000)
    expect(changes).toMatchObject([{ trust: 'untrusted', isFirst: true, steppedMs: 0 }])
    machine.synchronize(T0)
    expect(watch.now()).toBe(T0)
    expect(watch.isTrusted()).toBe(true)
    expect(watch.trustedNow()).toBe(T0)
    expect(changes.slice(1)).toEqual([
      {
        trust: 'synchronized',
        evidence: 'systemd-timesyncd',
        isFirst: false,
        steppedMs: 5 * DAY - 25_000,
      },
    ])
    expect(watch.status()).toMatchObject({ isTrusted: true, steps: 1, lastStepMs: 5 * DAY - 25_000 })
    expect(epochs(watch)).toEqual([
      { trust: 'untrusted', difference: SHUTDOWN - 5000, before: null },
      { trust: 'synchronized', difference: T0 - 30_000, before: SHUTDOWN + 25_000 },
    ])
  })

  it('sees the step without a record, within ten seconds', async () => {
    const machine = new Machine(SHUTDOWN).withSystemd()
    const { watch, changes } = machine.start()
    watch.now()
    await machine.pass(33_000)
    machine.synchronize(T0)
    await machine.pass(7_000)
    expect(watch.isTrusted()).toBe(true)
    expect(changes.at(-1)).toMatchObject({ trust: 'synchronized' })
    expect(epochs(watch)).toHaveLength(2)
  })

  it('is trusted at once where the time service was first', () => {
    const machine = new Machine(SHUTDOWN).withSystemd()
    machine.synchronize(T0)
    const { watch, changes } = machine.start()
    expect(watch.trustedNow()).toBe(T0)
    expect(changes).toMatchObject([{ trust: 'synchronized', isFirst: true }])
    expect(machine.runs).toEqual([])
  })

  it('is trusted without a step where its clock was right', async () => {
    const machine = new Machine().withSystemd()
    const { watch, changes } = machine.start()
    watch.now()
    await machine.pass(15_000)
    machine.synchronize(machine.wall() + 30)
    await machine.pass(10_000)
    expect(changes.slice(1)).toMatchObject([{ trust: 'synchronized', steppedMs: 0 }])
    expect(watch.status().steps).toBe(0)
  })

  it('is told of by one line for a step and the answer to it', async () => {
    const machine = new Machine(SHUTDOWN)
    let isSynchronized = false
    machine.withSystemd(() => isSynchronized)
    const { watch, changes } = machine.start()
    watch.now()
    await machine.pass(60_000)
    // chrony: the kernel's flag is set, no file is touched
    machine.set(T0)
    isSynchronized = true
    watch.now()
    expect(changes).toHaveLength(1)
    expect(watch.isTrusted()).toBe(false)
    await machine.pass(10_000)
    expect(changes.slice(1)).toMatchObject([{ trust: 'synchronized', steppedMs: 5 * DAY - 60_000 }])
  })
})

describe('a clock that was synchronized', () => {
  const synchronized = (withFlag = true) => {
    const flag = { isSet: withFlag }
    const machine = new Machine().withSystemd(() => flag.isSet)
    machine.synchronize(T0)
    return { machine, flag, ...machine.start() }
  }

  it('stays so when the link is gone, and nobody is asked about it', async () => {
    const { machine, flag, watch, changes } = synchronized()
    flag.isSet = false
    await machine.pass(30 * DAY)
    expect(watch.status().trust).toBe('synchronized')
    expect(changes).toHaveLength(1)
    expect(machine.runs).toEqual([])
  })

  it('is not trusted after someone set it by hand, until a time service has set it right', async () => {
    const { machine, flag, watch, changes } = synchronized()
    watch.now()
    flag.isSet = false
    machine.step(-DAY)
    await machine.pass(60_000)
    expect(watch.now()).toBe(machine.wall())
    expect(watch.trustedNow()).toBeNull()
    // looked at after at most ten minutes without a record
    await machine.pass(600_000)
    expect(changes.slice(1)).toMatchObject([{ trust: 'untrusted', steppedMs: -DAY }])
    machine.synchronize(T0 + 3_600_000)
    watch.now()
    expect(changes.slice(2)).toMatchObject([{ trust: 'synchronized' }])
    expect(epochs(watch).map(({ trust }) => trust)).toEqual(['synchronized', 'untrusted', 'synchronized'])
  })

  it('is trusted again at once after a step of the time service itself', async () => {
    const { machine, watch, changes } = synchronized()
    watch.now()
    await machine.pass(1000)
    machine.synchronize(T0 + 3_600_000)
    watch.now()
    expect(watch.isTrusted()).toBe(true)
    expect(changes.slice(1)).toMatchObject([{ trust: 'synchronized', steppedMs: 3_599_000 }])
    expect(epochs(watch).map(({ trust }) => trust)).toEqual(['synchronized', 'synchronized'])
  })

  it('is what the next process of the same boot takes over, where nobody stepped it in between', async () => {
    const { machine, flag, watch } = synchronized()
    const last = watch.epochsSince(null).at(-1)!
    flag.isSet = false
    machine.files.delete('/run/systemd/timesync/synchronized')
    await machine.pass(DAY)
    expect(machine.start({ last }).watch.status().trust).toBe('synchronized')
    expect(machine.start({ last }).watch.epochsSince(last)).toEqual([])
    expect(machine.start({ last: { ...last, trust: 'rtc' } }).watch.isTrusted()).toBe(false)
    machine.step(-2000)
    expect(machine.start({ last }).watch.isTrusted()).toBe(false)
    machine.step(2000)
  })

  it('and then set by hand is not trusted by the next process either, although the file is still there', async () => {
    const { machine, flag, watch } = synchronized(false)
    watch.now()
    await machine.pass(60_000)
    machine.step(-DAY)
    flag.isSet = false
    const synchronizedEpoch = watch.epochsSince(null).at(-1)!
    expect(machine.start({ last: synchronizedEpoch }).watch.isTrusted()).toBe(false)
    watch.now()
    const untrusted = watch.epochsSince(synchronizedEpoch).at(-1)!
    const again = machine.start({ last: untrusted }).watch
    expect(again.isTrusted()).toBe(false)
    // a clock that was set back comes by the file's time once more
    await machine.pass(2 * DAY)
    expect(machine.start({ last: untrusted }).watch.isTrusted()).toBe(false)
    await machine.pass(60_000)
    machine.synchronize(T0 + 3 * DAY)
    expect(again.trustedNow()).toBe(T0 + 3 * DAY)
  })

  it('is not stepped by the machine’s sleep', async () => {
    const { machine, watch, changes } = synchronized()
    machine.sleep(DAY)
    expect(watch.now()).toBe(machine.wall())
    expect(watch.isTrusted()).toBe(true)
    expect(changes).toHaveLength(1)
  })
})

describe('a machine with nobody to ask', () => {
  it('is taken as it is, and so after a step', async () => {
    const machine = new Machine()
    const { watch, changes } = machine.start()
    expect(watch.status().trust).toBe('assumed')
    watch.now()
    machine.step(DAY)
    expect(watch.now()).toBe(T0 + DAY)
    expect(changes.slice(1)).toMatchObject([{ trust: 'assumed', steppedMs: DAY }])
    expect(machine.runs).toEqual([])
  })

  it('is not trusted while its clock is behind the log, and trusted once it is past it', async () => {
    const machine = new Machine(SHUTDOWN)
    const { watch, changes } = machine.start({ newest: T0 })
    watch.now()
    expect(watch.status().trust).toBe('untrusted')
    machine.step(5 * DAY)
    watch.now()
    expect(changes.slice(1)).toMatchObject([{ trust: 'assumed', steppedMs: 5 * DAY }])
  })

  it('is trusted once its clock has come by itself to where the log ends', async () => {
    const machine = new Machine(T0 - 3_600_000)
    const { watch } = machine.start({ newest: T0 })
    expect(watch.isTrusted()).toBe(false)
    await machine.pass(3_600_000)
    expect(watch.isTrusted()).toBe(true)
  })

  it('is not trusted when its clock goes back behind what it showed', async () => {
    const machine = new Machine()
    const { watch } = machine.start()
    await machine.pass(DAY)
    watch.now()
    machine.step(-3_600_000)
    expect(watch.trustedNow()).toBeNull()
    await machine.pass(3_600_000)
    expect(watch.isTrusted()).toBe(true)
  })

  it('is not trusted at a time before this program was written', () => {
    expect(new Machine(0).start().watch.isTrusted()).toBe(false)
  })
})

describe('a machine with a hardware clock', () => {
  it('is trusted by it until a time service has an answer', async () => {
    let isSynchronized = false
    const machine = new Machine().withRtc().withSystemd(() => isSynchronized)
    const { watch, changes } = machine.start()
    expect(watch.status().trust).toBe('rtc')
    await machine.pass(20 * 60_000)
    isSynchronized = true
    await machine.pass(10 * 60_000)
    expect(changes.map(({ trust }) => trust)).toEqual(['rtc', 'synchronized'])
  })

  it('that is gone takes the trust along at once, also for a record of the same millisecond', async () => {
    const machine = new Machine().withRtc().withSystemd()
    const { watch } = machine.start()
    await machine.pass(599_000)
    machine.hold(1000)
    watch.now()
    const rtc = machine.files.get('/sys/class/rtc/rtc0/hctosys')!
    machine.files.delete('/sys/class/rtc/rtc0/hctosys')
    await machine.pass(0)
    expect(watch.isTrusted()).toBe(false)
    watch.now()
    machine.files.set('/sys/class/rtc/rtc0/hctosys', rtc)
    await machine.pass(10_000)
    expect(epochs(watch).map(({ trust }) => trust)).toEqual(['rtc', 'untrusted', 'rtc'])
  })

  it('is not trusted once the clock was set away from it', async () => {
    const machine = new Machine().withRtc().withSystemd()
    const { watch } = machine.start()
    machine.step(-DAY)
    expect(watch.trustedNow()).toBeNull()
  })
})

describe('the configuration', () => {
  it('can trust the clock always, and asks nobody', async () => {
    const machine = new Machine(0).withSystemd()
    const { watch, changes } = machine.start({ mode: 'always', newest: T0 })
    expect(watch.trustedNow()).toBe(0)
    expect(watch.status()).toMatchObject({ trust: 'assumed', evidence: 'clock.trust is always' })
    machine.step(DAY)
    watch.now()
    expect(changes.slice(1)).toMatchObject([{ trust: 'assumed', steppedMs: DAY }])
    expect([machine.runs, machine.timers]).toEqual([[], 0])
  })

  it('can trust it never', async () => {
    const machine = new Machine().withSystemd(() => true)
    machine.synchronize(T0)
    const { watch } = machine.start({ mode: 'never' })
    machine.step(DAY)
    watch.now()
    expect(watch.trustedNow()).toBeNull()
    expect([machine.runs, machine.timers]).toEqual([[], 0])
  })
})

describe('asking', () => {
  const asksWithin = async (machine: Machine, ms: number) => {
    const before = machine.runs.length
    await machine.pass(ms)
    return machine.runs.length - before
  }

  it('grows rarer while the answer is no: after 10, 20, 40 seconds, and at least every ten minutes', async () => {
    const machine = new Machine().withSystemd()
    machine.start()
    expect(machine.runs).toHaveLength(1)
    expect(await asksWithin(machine, 9_999)).toBe(0)
    expect(await asksWithin(machine, 1)).toBe(1)
    expect(await asksWithin(machine, 20_000)).toBe(1)
    expect(await asksWithin(machine, 40_000)).toBe(1)
    await machine.pass(3_600_000)
    const perDay = await asksWithin(machine, DAY)
    expect(perDay).toBeGreaterThanOrEqual(140)
    expect(perDay).toBeLessThanOrEqual(145)
  })

  it('is done soon after a step, however rare it had become', async () => {
    const machine = new Machine().withSystemd()
    const { watch } = machine.start()
    await machine.pass(3_600_000)
    machine.step(DAY)
    watch.now()
    expect(await asksWithin(machine, 10_000)).toBe(2)
  })

  it('is done every ten minutes while the clock is trusted without being synchronized', async () => {
    const machine = new Machine().withRtc().withSystemd()
    machine.start()
    expect(machine.runs).toHaveLength(1)
    expect(await asksWithin(machine, 599_000)).toBe(0)
    expect(await asksWithin(machine, 1_000)).toBe(1)
  })

  it('is never done more often than every ten seconds, however often the clock is stepped', async () => {
    const machine = new Machine().withSystemd()
    const { watch, changes } = machine.start()
    for (let second = 0; second < 100; second++) {
      machine.step(second % 2 === 0 ? DAY : -DAY)
      watch.now()
      await machine.pass(1000)
    }
    expect(machine.runs.length).toBeLessThanOrEqual(11)
    expect(changes.length).toBeLessThanOrEqual(12)
  })

  it('ends with the watch', async () => {
    const machine = new Machine().withSystemd()
    const { watch } = machine.start()
    await machine.pass(1000)
    watch.close()
    expect(machine.isClosed).toBe(true)
    expect(await asksWithin(machine, DAY)).toBe(0)
    expect(machine.timers).toBe(0)
  })

  it('that has not been answered when the watch is closed changes nothing any more', async () => {
    const machine = new Machine().withSystemd(() => true)
    const { watch, changes } = machine.start()
    watch.close()
    await machine.pass(1000)
    expect(changes).toEqual([])
    expect(machine.timers).toBe(0)
  })
})

describe('a watch that was not started', () => {
  it('trusts nothing, and has no epochs', () => {
    const machine = new Machine()
    machine.synchronize(T0)
    const watch = new ClockWatch({ ...machine.parts(), mode: 'auto' })
    machine.step(DAY)
    expect(watch.trustedNow()).toBeNull()
    expect(watch.epochsSince(null)).toEqual([])
    watch.start(null, 0)
    expect(watch.trustedNow()).toBe(T0 + DAY)
    expect(watch.status().steps).toBe(0)
  })
})

describe('stamps', () => {
  it('are the wall clock’s, before and after any step', async () => {
    const machine = new Machine().withSystemd()
    const { watch } = machine.start()
    for (const step of [0, DAY, -2 * DAY, 400, -400, 0, 1000]) {
      machine.step(step)
      expect(watch.now()).toBe(machine.wall())
      expect(watch.now()).toBe(machine.wall())
      machine.hold(3)
      expect(watch.now()).toBe(machine.wall())
    }
  })
})
