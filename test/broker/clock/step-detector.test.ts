import { describe, expect, it } from 'vitest'
import { STEP_MS_MIN } from '../../../broker/clock/epoch.ts'
import { type Step, StepDetector } from '../../../broker/clock/step-detector.ts'
import { DAY, Machine, T0 } from './machine.ts'

function detecting() {
  const machine = new Machine()
  const steps: Step[] = []
  const detector = new StepDetector(machine, (step) => steps.push(step))
  return { machine, steps, detector }
}

describe('a step of the wall clock', () => {
  it('is seen at the next look, forward and backward, and once', () => {
    const { machine, steps, detector } = detecting()
    machine.hold(1000)
    detector.look()
    for (const ms of [5 * DAY, -2 * DAY, STEP_MS_MIN + 2, -STEP_MS_MIN - 2]) {
      machine.hold(300)
      machine.step(ms)
      expect(detector.look()).toBe(machine.wall())
      expect(detector.look()).toBe(machine.wall())
      expect(steps.splice(0).map((step) => Math.round(step.ms))).toEqual([ms])
    }
  })

  it('has the moments before and after it, and both clocks', () => {
    const { machine, steps, detector } = detecting()
    machine.hold(1000)
    detector.look()
    machine.hold(2000)
    machine.step(DAY)
    detector.look()
    expect(steps).toEqual([
      {
        ms: DAY,
        lastSeenAt: 6000,
        seenAt: 8000,
        differenceBefore: T0 - 5000,
        difference: T0 - 5000 + DAY,
      },
    ])
  })

  it('is not what is slewed or drifts, however far it goes', () => {
    const { machine, steps, detector } = detecting()
    for (let i = 0; i < 10_000; i++) {
      machine.hold(60_000)
      machine.step(i < 5000 ? 400 : -300)
      detector.look()
    }
    expect(steps).toEqual([])
    expect(detector.difference).toBe(machine.wall() - machine.monotonic())
  })

  it('is not the machine’s sleep, which the monotonic clock does not count', () => {
    const { machine, steps, detector } = detecting()
    machine.sleep(8 * 3_600_000)
    expect(detector.look()).toBe(machine.wall())
    expect(detector.monotonic()).toBe(5000 + 8 * 3_600_000)
    machine.hold(10)
    detector.look()
    expect(steps).toEqual([])
    // set while it slept
    machine.sleep(3_600_000)
    machine.step(-DAY)
    detector.look()
    expect(steps.map((step) => step.ms)).toEqual([-DAY])
  })

  it('is not a process that is held up between its two readings', () => {
    const { machine, steps, detector } = detecting()
    const { wall } = machine
    let holds = 3
    machine.wall = function (this: Machine) {
      const reading = wall.call(this)
      if (holds-- > 0) this.hold(2000)
      return reading
    }
    detector.look()
    expect(holds).toBeLessThan(0)
    expect(steps).toEqual([])
  })
})
