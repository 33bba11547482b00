/**
 * The disk under a path, as /sys knows it: `/sys/dev/block/MAJOR:MINOR` leads to the partition or disk, whose place among the devices says
 * what it hangs on.
 *
 *   .../mmc_host/mmc0/mmc0:aaaa/block/mmcblk0/mmcblk0p2    a card or eMMC
 *   .../usb1/1-1/.../block/sda/sda1                        USB
 *   .../nvme/nvme0/nvme0n1                                 NVMe
 *   .../virtual/block/zram0                                memory
 */
import { join } from 'node:path'
import { mountAt } from '../../storage/file-system.ts'
import type { Machine } from './machine.ts'

export type DeviceKind = 'card' | 'usb' | 'nvme' | 'memory' | 'other'

export interface BlockDevice {
  /** Of the whole disk: mmcblk0. */
  readonly name: string
  readonly kind: DeviceKind
  readonly isRotating: boolean
}

/** @param path one that exists */
export async function blockDeviceOf(machine: Machine, path: string): Promise<BlockDevice | null> {
  const real = await machine.realPath(path)
  const mounts = await machine.readText('/proc/self/mountinfo')
  if (real === null || mounts === null) return null
  const device = mountAt(real, mounts)?.device
  return device === undefined ? null : blockDeviceBy(machine, `/sys/dev/block/${device}`)
}

/** @param link in /sys/dev/block or /sys/class/block */
export async function blockDeviceBy(machine: Machine, link: string): Promise<BlockDevice | null> {
  const place = await machine.realPath(link)
  if (place === null) return null
  const [, name] = /\/block\/([^/]+)/.exec(place) ?? /\/(nvme\d+n\d+)/.exec(place) ?? []
  if (name === undefined) return null
  const rotating = await machine.readText(`/sys/block/${name}/queue/rotational`)
  return { name, kind: kindOf(place, name), isRotating: rotating?.trim() === '1' }
}

function kindOf(place: string, name: string): DeviceKind {
  if (name.startsWith('mmcblk')) return 'card'
  if (name.startsWith('zram') || name.startsWith('ram')) return 'memory'
  if (name.startsWith('nvme')) return 'nvme'
  return /\/usb\d+\//.test(place) ? 'usb' : 'other'
}

/** A file of the card's own registers (mmc), such as `life_time`. */
export async function cardRegister(machine: Machine, name: string, register: string): Promise<string | null> {
  return (await machine.readText(join('/sys/block', name, 'device', register)))?.trim() ?? null
}
