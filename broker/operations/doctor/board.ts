/** What a board says of itself: power and heat on a Raspberry Pi, and the watchdog that restarts a kernel that hangs. */
import { type Finding, fault, none, ok, warning } from './finding.ts'
import type { Machine } from './machine.ts'

/** Hex. Bits 0 to 3: now; 16 to 19: since the boot. (Raspberry Pi documentation, vcgencmd get_throttled.) */
const THROTTLED = '/sys/devices/platform/soc/soc:firmware/get_throttled'
const UNDER_VOLTAGE = 0x1
const SLOWED = 0xe
const SINCE_BOOT = 16
const SUPPLY =
  'use a supply and a cable for this board (5 V, 3 A or more): a voltage that drops damages cards'

export async function examinePower(machine: Machine): Promise<Finding> {
  const item = 'power'
  const flags = Number.parseInt((await machine.readText(THROTTLED))?.trim() ?? '', 16)
  if (Number.isNaN(flags)) return none(item, 'this board does not tell')
  if ((flags & UNDER_VOLTAGE) !== 0) return fault(item, 'the voltage is too low now', SUPPLY)
  if (((flags >> SINCE_BOOT) & UNDER_VOLTAGE) !== 0) {
    return warning(item, 'the voltage was too low since the boot', SUPPLY)
  }
  if ((flags & SLOWED) !== 0) return warning(item, 'the processor is slowed down: too hot', 'cool it')
  if (((flags >> SINCE_BOOT) & SLOWED) !== 0) {
    return warning(item, 'the processor was slowed down since the boot: too hot', 'cool it')
  }
  return ok(item, 'no under-voltage and no throttling since the boot')
}

export async function examineWatchdog(machine: Machine): Promise<Finding> {
  const item = 'watchdog'
  const [device] = await machine.list('/sys/class/watchdog')
  if (device === undefined) return none(item, 'this machine has none')
  const read = async (name: string) =>
    (await machine.readText(`/sys/class/watchdog/${device}/${name}`))?.trim()
  const [identity = device, state, timeout] = [
    await read('identity'),
    await read('state'),
    await read('timeout'),
  ]
  if (state === 'active')
    return ok(item, `${identity} is fed, and restarts a machine that hangs for ${timeout} s`)
  const todo =
    'have systemd feed it: RuntimeWatchdogSec=15 under [Manager] in /etc/systemd/system.conf.d/watchdog.conf'
  return warning(item, `${identity} is there and nobody feeds it: a machine that hangs stays so`, todo)
}
