/** The clock, as the broker judges it. */
import type { ClockHost } from '../../clock/clock-host.ts'
import { EARLIEST_TIME, type Judgement, judge, type TrustMode } from '../../clock/trust.ts'
import { TrustProbes } from '../../clock/trust-probes.ts'
import { type Finding, fault, ok, warning } from './finding.ts'
import type { Machine } from './machine.ts'

const ITEM = 'clock'
const RTC_DIRECTORY = '/sys/class/rtc'
const SYNCHRONIZE = 'let a time service keep it: `timedatectl set-ntp true`, or chrony'

/** What the broker would say of the clock, asked once. @param now what the clock shows */
export async function judgeClock(host: ClockHost, now: number): Promise<Judgement> {
  const probes = new TrustProbes(host)
  try {
    await probes.ask()
    return judge(probes.look(now), now, EARLIEST_TIME, null)
  } finally {
    probes.close()
  }
}

export async function examineClock(
  machine: Machine,
  { trust, evidence }: Judgement,
  mode: TrustMode,
  now: number,
): Promise<Finding> {
  const clocks = await machine.list(RTC_DIRECTORY)
  const hardware = clocks.length > 0 ? `hardware clock ${clocks.join(', ')}` : 'no hardware clock'
  if (now < EARLIEST_TIME) {
    return fault(ITEM, `it shows ${new Date(now).toISOString()}, which has passed; ${hardware}`, SYNCHRONIZE)
  }
  if (mode !== 'auto') {
    const what = `clock.trust is ${mode}: ${mode === 'always' ? 'it is believed' : 'it is not believed'}, whatever it shows`
    return mode === 'always' ? ok(ITEM, what) : warning(ITEM, what, 'set clock.trust to auto')
  }
  switch (trust) {
    case 'synchronized':
      return ok(ITEM, `synchronized, by ${evidence}; ${hardware}`)
    case 'rtc':
      return ok(ITEM, evidence)
    case 'assumed':
      return warning(ITEM, `${evidence}; ${hardware}`, `${SYNCHRONIZE}; or clock.trust: always`)
    case 'untrusted':
      return warning(
        ITEM,
        `not to be trusted: ${evidence}; retention by time stands still; ${hardware}`,
        SYNCHRONIZE,
      )
  }
}
