/** A memory card's or an eMMC's own word on its wear (JEDEC JESD84-B51: EXT_CSD 267 to 269); SD cards have none. */
import { type BlockDevice, cardRegister } from './block-device.ts'
import { type Finding, fault, none, ok, warning } from './finding.ts'
import type { Machine } from './machine.ts'

const ITEM = 'card'
const REPLACE = 'take a backup (`headwater backup`), and put in a new one'
/** Tenths of its life; 11 is "exceeded". */
const LIFE_WARNING = 9
const LIFE_EXCEEDED = 11
const PRE_EOL_WARNING = 2
const PRE_EOL_URGENT = 3

export async function examineCard(machine: Machine, device: BlockDevice | null): Promise<Finding> {
  if (device === null) return none(ITEM, 'the disk under the data directory cannot be seen from here')
  if (device.kind !== 'card') return none(ITEM, `${device.name} is no memory card`)
  const register = (name: string) => cardRegister(machine, device.name, name)
  const [type, name, made, life, preEol] = await Promise.all(
    ['type', 'name', 'date', 'life_time', 'pre_eol_info'].map(register),
  )
  const what = [type === 'SD' ? 'SD card' : (type ?? 'card'), name, made === null ? null : `made ${made}`]
    .filter((part) => part !== null && part !== undefined && part !== '')
    .join(' ')
  const tenths = (life ?? '').split(/\s+/).map((text) => Number.parseInt(text, 16))
  const worst = Math.max(0, ...tenths.filter((tenth) => tenth > 0))
  const left = Number.parseInt(preEol ?? '', 16)
  if (worst === 0 && !(left > 0)) {
    return none(ITEM, `${what}: it does not tell its wear; \`headwater status\` counts what is written to it`)
  }
  const used = worst >= LIFE_EXCEEDED ? 'its life is exceeded' : `up to ${worst * 10} % of its life is used`
  if (worst >= LIFE_EXCEEDED || left >= PRE_EOL_URGENT) return fault(ITEM, `${what}: ${used}`, REPLACE)
  if (worst >= LIFE_WARNING || left >= PRE_EOL_WARNING) {
    const reserve = left >= PRE_EOL_WARNING ? '; most of its spare blocks are used' : ''
    return warning(ITEM, `${what}: ${used}${reserve}`, REPLACE)
  }
  return ok(ITEM, `${what}: ${used}`)
}
