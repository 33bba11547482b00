/** A simulated machine: its clocks, its boots, its time service, and the timers of the process on it. */
import { setImmediate as turn } from 'node:timers/promises'
import type { ClockHost } from '../../../broker/clock/clock-host.ts'
import { type ClockChange, type ClockParts, ClockWatch } from '../../../broker/clock/clock-watch.ts'
import type { NotedEpoch } from '../../../broker/clock/epoch.ts'
import type { SystemTime } from '../../../broker/clock/system-time.ts'
import type { TrustMode } from '../../../broker/clock/trust.ts'
import { TrustProbes } from '../../../broker/clock/trust-probes.ts'

export const TIMESYNCD = '/run/systemd/timesync/synchronized'
export const DAY = 86_400_000
/** A right time, for the tests to begin at. */
export const T0 = Date.UTC(2026, 5, 1, 12)

interface Timer {
  readonly at: number
  readonly callback: () => void
}

export class Machine implements SystemTime, ClockHost {
  bootId = ''
  /** Text, what gives it, or null for a directory. */
  readonly files = new Map<string, { text: string | null | (() => string); modifiedAt: number }>()
  /** What installed programs print; null is a failure. */
  readonly programs = new Map<string, () => string | null>()
  /** Every program that was run. */
  readonly runs: string[] = []
  isClosed = false
  #boots = 0
  #monotonic = 0
  #asleep = 0
  #offset = 0
  #timers = new Set<Timer>()

  constructor(wall = T0) {
    this.boot(wall)
  }

  // -- what the process sees ----------------------------------------------------------------------------------------

  wall(): number {
    return Math.floor(this.#monotonic + this.#asleep + this.#offset)
  }
  monotonic(): number {
    return this.#monotonic
  }
  suspended(): number {
    return this.#asleep
  }
  readText(path: string): string | undefined {
    const text = this.files.get(path)?.text ?? undefined
    return typeof text === 'function' ? text() : text
  }
  modifiedAt(path: string): number | undefined {
    return this.files.get(path)?.modifiedAt
  }
  list(path: string): string[] {
    const below = [...this.files.keys()].filter((file) => file.startsWith(`${path}/`))
    return [...new Set(below.map((file) => file.slice(path.length + 1).split('/')[0]!))]
  }
  isInstalled(program: string): boolean {
    return this.programs.has(program)
  }
  async run(program: string): Promise<string | null> {
    this.runs.push(program)
    return this.programs.get(program)?.() ?? null
  }
  close(): void {
    this.isClosed = true
  }

  parts(): ClockParts {
    return {
      time: this,
      bootId: this.bootId,
      probes: new TrustProbes(this),
      after: (ms, callback) => {
        const timer = { at: this.#monotonic + ms, callback }
        this.#timers.add(timer)
        return () => this.#timers.delete(timer)
      },
    }
  }

  /** A process starts: its watch, and what it tells. */
  start(options: { last?: NotedEpoch | null; newest?: number; mode?: TrustMode } = {}) {
    const { last = null, newest = 0, mode = 'auto' } = options
    const watch = new ClockWatch({ ...this.parts(), mode })
    const changes: ClockChange[] = []
    watch.onChange((change) => changes.push(change))
    watch.start(last, newest)
    return { watch, changes }
  }

  // -- what happens to it -------------------------------------------------------------------------------------------

  /** The machine starts anew with this on its clock; nothing of the old process is left. */
  boot(wall: number): void {
    this.#boots++
    this.bootId = `00000000-0000-4000-8000-${String(this.#boots).padStart(12, '0')}`
    this.#monotonic = 5_000
    this.#asleep = 0
    this.#timers.clear()
    for (const path of [...this.files.keys()]) {
      if (path.startsWith('/run/') && path !== '/run/systemd/system') this.files.delete(path)
    }
    this.set(wall)
  }

  set(wall: number): void {
    this.#offset = wall - this.#monotonic - this.#asleep
  }
  step(ms: number): void {
    this.#offset += ms
  }
  sleep(ms: number): void {
    this.#asleep += ms
  }

  /** Time passes, and timers fire in it. */
  async pass(ms: number): Promise<void> {
    await turn()
    const end = this.#monotonic + ms
    for (;;) {
      const due = [...this.#timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0]
      if (due === undefined) break
      this.#timers.delete(due)
      this.#monotonic = Math.max(this.#monotonic, due.at)
      due.callback()
      await turn()
    }
    this.#monotonic = end
    await turn()
  }

  /** Time passes, and no timer of the process does. */
  hold(ms: number): void {
    this.#monotonic += ms
  }

  get timers(): number {
    return this.#timers.size
  }

  touch(path: string, text: string | null | (() => string) = ''): void {
    this.files.set(path, { text, modifiedAt: this.wall() })
  }

  // -- what is installed --------------------------------------------------------------------------------------------

  /** As on Raspberry Pi OS: systemd, no hardware clock. `isSynchronized` is the kernel's flag. */
  withSystemd(isSynchronized: () => boolean | null = () => false): this {
    this.touch('/run/systemd/system', null)
    this.programs.set('timedatectl', () => {
      const answer = isSynchronized()
      return answer === null ? null : answer ? 'yes\n' : 'no\n'
    })
    return this
  }

  /** A hardware clock that runs by itself from here on, so far from the wall clock. */
  withRtc(name = 'rtc0', secondsOff = 0): this {
    const offset = this.#offset / 1000 + secondsOff
    const seconds = () => `${Math.floor((this.#monotonic + this.#asleep) / 1000 + offset)}\n`
    this.touch(`/sys/class/rtc/${name}/hctosys`, '1\n')
    this.touch(`/sys/class/rtc/${name}/since_epoch`, seconds)
    return this
  }

  /** systemd-timesyncd has an answer: it steps the clock, then touches its file. */
  synchronize(wall: number): void {
    this.set(wall)
    this.touch(TIMESYNCD)
  }
}
