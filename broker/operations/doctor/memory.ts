/** Memory: how much there is, how much the control group allows, and whether pages go to a card that wears. */
import { join } from 'node:path'
import { bytes } from '../terminal/units.ts'
import { blockDeviceBy, blockDeviceOf } from './block-device.ts'
import { type Finding, fault, none, ok, warning } from './finding.ts'
import type { Machine } from './machine.ts'

/** What a broker takes at the least, and what it takes with clients and a backlog (DESIGN.md: 62 MB idle, 100 at work). */
const NEEDED_BYTES = 96 * 1024 * 1024
const COMFORTABLE_BYTES = 160 * 1024 * 1024
const CGROUP_ROOT = '/sys/fs/cgroup'

/** @param pid of the running broker, or self */
export async function examineMemory(machine: Machine, pid: number | 'self'): Promise<Finding> {
  const item = 'memory'
  const info = (await machine.readText('/proc/meminfo')) ?? ''
  const total = kilobytes(info, 'MemTotal')
  if (total === null) return none(item, 'it cannot be seen from here')
  const limit = await groupLimit(machine, pid)
  const room = Math.min(total, limit ?? total)
  const whose = limit !== null && limit < total ? `${bytes(limit)} by its control group` : bytes(total)
  const what = `${whose}, ${bytes(kilobytes(info, 'MemAvailable') ?? 0)} available`
  if (room < NEEDED_BYTES) {
    return fault(
      item,
      `${what}: the broker takes ${bytes(NEEDED_BYTES)}`,
      'raise MemoryMax of its unit, or of the container',
    )
  }
  if (room < COMFORTABLE_BYTES) {
    const todo =
      'raise it, or lower limits.connectionsMax, limits.outboxesBytesMax and limits.admittedBytesMax'
    return warning(item, `${what}: enough for few clients`, todo)
  }
  return ok(item, what)
}

/** The smallest limit on the way up (cgroup v2); null without one. */
async function groupLimit(machine: Machine, pid: number | 'self'): Promise<number | null> {
  const [, path] = /^0::(.*)$/m.exec((await machine.readText(`/proc/${pid}/cgroup`)) ?? '') ?? []
  if (path === undefined) return null
  const limits: number[] = []
  for (let group = path; ; group = join(group, '..')) {
    const limit = Number((await machine.readText(join(CGROUP_ROOT, group, 'memory.max')))?.trim())
    if (Number.isFinite(limit) && limit > 0) limits.push(limit)
    if (group === '/' || group === '.') break
  }
  return limits.length === 0 ? null : Math.min(...limits)
}

function kilobytes(info: string, name: string): number | null {
  const found = new RegExp(`^${name}: *([0-9]+) kB`, 'm').exec(info)?.[1]
  return found === undefined ? null : Number(found) * 1024
}

/** proc(5): `Filename Type Size Used Priority` after a heading. */
export async function examineSwap(machine: Machine): Promise<Finding> {
  const item = 'swap'
  const lines = ((await machine.readText('/proc/swaps')) ?? '').split('\n').slice(1).filter(Boolean)
  if (lines.length === 0) return ok(item, 'none')
  for (const line of lines) {
    const [file = '', type] = line.split(/\s+/)
    const device =
      type === 'partition'
        ? await blockDeviceBy(machine, `/sys/class/block/${file.replace('/dev/', '')}`)
        : await blockDeviceOf(machine, file)
    if (device?.kind !== 'card') continue
    const todo = 'swap to memory (zram) or not at all: `dphys-swapfile swapoff`, and remove the package'
    return warning(item, `${file} is on ${device.name}: swapping wears the card`, todo)
  }
  return ok(item, lines.map((line) => line.split(/\s+/)[0]).join(', '))
}
