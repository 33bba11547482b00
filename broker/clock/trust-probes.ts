/**
 * Asks the machine whether its clock is synchronized. Files first: they cost a few microseconds. Programs only where files do not
 * settle it, and as seldom as the watch asks for.
 *
 * | what                                 | who sets it                                        | says                                |
 * |--------------------------------------|----------------------------------------------------|-------------------------------------|
 * | /run/systemd/timesync/synchronized   | systemd-timesyncd, touched at each synchronisation | synchronized                        |
 * | timedatectl NTPSynchronized          | the kernel: its error bound is below 16 s, as      | synchronized, or not                |
 * |                                      | chrony, ntpd, ptp4l and timesyncd tell it; setting |                                     |
 * |                                      | the clock by hand ends it, nine hours without too  |                                     |
 * | chronyc -c tracking                  | chronyd, also where it leaves the kernel alone     | synchronized, or not                |
 * | /sys/class/rtc/rtcN hctosys          | the kernel: this clock set the time at boot        | rtc, while it agrees with the clock |
 *
 * A Pi 5 without its battery has an RTC that "set" 1970, and the time service put the clock to the last shutdown afterwards:
 * they do not agree.
 */
import type { ClockHost } from './clock-host.ts'
import type { Answers } from './trust.ts'

const TIMESYNCD_FILE = '/run/systemd/timesync/synchronized'
const SYSTEMD_DIRECTORY = '/run/systemd/system'
const BUS_SOCKET = '/run/dbus/system_bus_socket'
const RTC_DIRECTORY = '/sys/class/rtc'

/** Further apart than a quartz drifts in months: that RTC did not set this clock. */
const RTC_DIFFERENCE_MS_MAX = 300_000
/** A file's time is the kernel's at its last tick. */
const TOUCH_SLACK_MS = 100
/** chronyd calls itself synchronized while it still slews a large difference away. */
const CHRONY_REMAINING_S_MAX = 1
/** The reference id of chronyd's own clock, given out for want of a better one. */
const CHRONY_LOCAL = '7F7F0101'
const CHRONY_FIELDS = 14

export class TrustProbes {
  readonly #host: ClockHost
  readonly #isSystemd: boolean
  readonly #asksTimedatectl: boolean
  readonly #asksChronyc: boolean
  #timesyncd = false
  #rtc: string | null = null
  #kernel: boolean | null = null
  #chrony: boolean | null = null
  #hasAnswered = false
  /** Since the last step: the file tells of the clock only when it was touched after that. */
  #touchedFrom: number | null = null
  #staleTouch: number | undefined
  /** Counts the steps: an answer to a question from before one is no answer. */
  #round = 0

  constructor(host: ClockHost) {
    this.#host = host
    this.#isSystemd = host.modifiedAt(SYSTEMD_DIRECTORY) !== undefined
    const hasBus = this.#isSystemd || host.modifiedAt(BUS_SOCKET) !== undefined
    this.#asksTimedatectl = hasBus && host.isInstalled('timedatectl')
    this.#asksChronyc = host.isInstalled('chronyc')
  }

  /** There are programs that can say more than the files. */
  get hasPrograms(): boolean {
    return this.#asksTimedatectl || this.#asksChronyc
  }

  /** What the programs said holds for the clock as it runs now. */
  get isSettled(): boolean {
    return this.#hasAnswered || !this.hasPrograms
  }

  /** Looks at the files. @param wall what the clock shows */
  look(wall: number): Answers {
    this.#timesyncd ||= this.#wasTouched(wall)
    this.#rtc = this.#bootRtc(wall)
    return this.#answers()
  }

  /** Asks the programs, one after the other until one says yes. Never rejects. */
  async ask(): Promise<void> {
    const round = this.#round
    const kernel = this.#asksTimedatectl ? await this.#askTimedatectl() : null
    const chrony = this.#asksChronyc && kernel !== true ? await this.#askChronyc() : null
    if (round !== this.#round) return
    this.#kernel = kernel
    this.#chrony = chrony
    this.#hasAnswered = true
  }

  /**
   * The clock was stepped: what was said before says nothing about it now.
   * @param earliest the new clock's reading when the old one was last seen
   */
  stepped(earliest: number): void {
    this.#round++
    this.#timesyncd = false
    this.#rtc = null
    this.#kernel = null
    this.#chrony = null
    this.#hasAnswered = false
    this.#touchedFrom = earliest
    this.#staleTouch = undefined
  }

  close(): void {
    this.#host.close()
  }

  #answers(): Answers {
    return {
      timesyncd: this.#timesyncd,
      kernel: this.#kernel,
      chrony: this.#chrony,
      rtc: this.#rtc,
      isWaiting: !this.isSettled,
    }
  }

  #wasTouched(wall: number): boolean {
    const touched = this.#host.modifiedAt(TIMESYNCD_FILE)
    if (touched === undefined || touched === this.#staleTouch) return false
    if (this.#touchedFrom === null) return true
    if (touched >= this.#touchedFrom - TOUCH_SLACK_MS && touched <= wall + TOUCH_SLACK_MS) return true
    this.#staleTouch = touched
    return false
  }

  #bootRtc(wall: number): string | null {
    for (const name of this.#host.list(RTC_DIRECTORY)) {
      if (this.#host.readText(`${RTC_DIRECTORY}/${name}/hctosys`)?.trim() !== '1') continue
      // an RTC that lost its power gives an error here
      const seconds = Number.parseInt(this.#host.readText(`${RTC_DIRECTORY}/${name}/since_epoch`) ?? '', 10)
      if (Math.abs(seconds * 1000 - wall) <= RTC_DIFFERENCE_MS_MAX) return name
    }
    return null
  }

  async #askTimedatectl(): Promise<boolean | null> {
    const output = await this.#host.run('timedatectl', ['show', '-p', 'NTPSynchronized', '--value'])
    const text = output?.trim()
    if (text === 'yes' || text === 'no') return text === 'yes'
    // early in a boot the bus is not up yet: nothing known is not "nothing to ask"
    return this.#isSystemd ? false : null
  }

  async #askChronyc(): Promise<boolean | null> {
    const output = await this.#host.run('chronyc', ['-c', 'tracking'])
    if (output === null) return null
    const fields = output.trim().split(',')
    if (fields.length !== CHRONY_FIELDS || fields[0] === CHRONY_LOCAL) return false
    return fields[13] !== 'Not synchronised' && Math.abs(Number(fields[4])) < CHRONY_REMAINING_S_MAX
  }
}
