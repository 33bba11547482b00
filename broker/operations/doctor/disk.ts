/** The disk: how much room there is, and what an fsync costs there. */
import type { Config } from '../../config/schema.ts'
import type { FileSystem } from '../../storage/file-system.ts'
import type { Latencies } from '../measure/latencies.ts'
import { bytes, milliseconds } from '../terminal/units.ts'
import type { BlockDevice } from './block-device.ts'
import { type Finding, fault, none, ok, warning } from './finding.ts'
import type { Machine } from './machine.ts'

const ROOM = 'free some, give the log less (log.disk.bytesMax), or put in a larger disk'
/** The log rolls, compacts and retains in segments: it wants room for some. */
const SEGMENTS_OF_ROOM = 4
const SLOW_MS = 100
const VERY_SLOW_MS = 1000
/** No flash memory and no platter has written a block by then. */
const HONEST_MS_MIN = 0.15

export async function examineSpace(machine: Machine, directory: string, config: Config): Promise<Finding> {
  const item = 'disk'
  const space = await machine.space(directory)
  if (space === null) return none(item, 'how much is free cannot be seen from here')
  const { freeBytes, totalBytes } = space
  const { reserveBytes, bytesMax } = config.log.disk
  const what = `${bytes(freeBytes)} of ${bytes(totalBytes)} free, ${bytes(reserveBytes)} of them kept in reserve`
  if (freeBytes <= reserveBytes) return fault(item, `${what}: nothing new is taken`, ROOM)
  if (freeBytes <= reserveBytes + SEGMENTS_OF_ROOM * config.log.segmentBytes) {
    return warning(item, `${what}: it is nearly full`, ROOM)
  }
  if (bytesMax !== undefined && bytesMax > totalBytes) {
    const todo = 'lower log.disk.bytesMax; what is full first is the disk'
    return warning(item, `${what}; log.disk.bytesMax is ${bytes(bytesMax)}, more than it has`, todo)
  }
  return ok(item, what)
}

export function examineFileSystem(
  { type, kind, warning: fear }: FileSystem,
  options: ReadonlySet<string>,
): Finding {
  const item = 'file system'
  if (fear !== null) {
    const [what = fear, todo = ''] = fear.split(' - ', 2)
    const isFault = kind === 'volatile' || kind === 'read-only'
    return isFault ? fault(item, what, todo) : warning(item, what, todo)
  }
  if (options.has('data=writeback')) {
    const what = `${type} is mounted with data=writeback: after a power cut files that were being written can hold old data`
    return warning(item, what, 'mount it with data=ordered, which is the default')
  }
  return kind === 'unknown' ? none(item, `${type}: nothing is known of it`) : ok(item, type)
}

/** @param latencies null where nothing could be written */
export function examineFsync(latencies: Latencies | null, device: BlockDevice | null): Finding {
  const item = 'fsync'
  if (latencies === null) return none(item, 'not measured: nothing can be written there')
  const { p50, p99, count } = latencies
  const what = `p50 ${precise(p50)}, p99 ${precise(p99)} of ${count}`
  if (p50 > SLOW_MS || p99 > VERY_SLOW_MS) {
    const todo = 'a publisher waits so long for its acknowledgement: use a faster card (A1, A2) or an SSD'
    return warning(item, `${what}: slow`, todo)
  }
  const isSlowKind = device?.kind === 'card' || device?.kind === 'usb' || device?.isRotating === true
  if (isSlowKind && p50 < HONEST_MS_MIN) {
    const todo = 'a power cut can take what was acknowledged: use another card, adapter or disk'
    return warning(item, `${what}: faster than ${device!.name} can write, its cache is not flushed`, todo)
  }
  return ok(item, `${what}: so long a single message waits for its acknowledgement`)
}

/** Below a millisecond two digits count. */
function precise(ms: number): string {
  return ms < 1 ? `${ms.toFixed(2)} ms` : milliseconds(ms)
}
