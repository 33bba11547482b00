/**
 * Which serial ports this machine has, from what the kernel and udev leave in the file system; no program is started. A port's best name
 * is the one that stays its own: by the adapter's serial number, else by the place in which it is plugged in.
 */
import { readdir, readFile, realpath, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'

export interface FoundPort {
  /** By id, else by path, else the device. */
  readonly name: string
  /** `/dev/ttyUSB0`. */
  readonly device: string
}

const STABLE = ['dev/serial/by-id', 'dev/serial/by-path']
/** Of a UART that is compiled in and not built in. */
const NO_UART = '0'

/** @param root of the file system; tests make one */
export async function findPorts(root = '/'): Promise<FoundPort[]> {
  const names = await stableNames(root)
  const ports: FoundPort[] = []
  for (const tty of await entries(join(root, 'sys/class/tty'))) {
    const device = join(root, 'dev', tty)
    if (names.has(device) || !(await isPort(join(root, 'sys/class/tty', tty)))) continue
    ports.push({ name: device, device })
  }
  for (const [device, name] of names) ports.push({ name, device })
  return ports.toSorted((a, b) => (a.name < b.name ? -1 : 1))
}

/** A name of the same port that outlasts replugging; null when the given one does, or there is none. */
export async function stableNameOf(port: string, root = '/'): Promise<string | null> {
  if (STABLE.some((directory) => port.startsWith(join(root, directory)))) return null
  const device = await realpath(port).catch(() => port)
  return (await stableNames(root)).get(device) ?? null
}

/** The first name of each device, in the order of STABLE. */
async function stableNames(root: string): Promise<Map<string, string>> {
  const names = new Map<string, string>()
  for (const directory of STABLE) {
    for (const entry of await entries(join(root, directory))) {
      const name = join(root, directory, entry)
      const device = await realpath(name).catch(() => null)
      if (device !== null && !names.has(device)) names.set(device, name)
    }
  }
  return names
}

async function isPort(place: string): Promise<boolean> {
  const hasHardware = await stat(join(place, 'device')).catch(() => null)
  if (hasHardware === null) return false
  if (!basename(place).startsWith('ttyS')) return true
  const type = await readFile(join(place, 'type'), 'utf8').catch(() => '')
  return type.trim() !== NO_UART
}

async function entries(directory: string): Promise<string[]> {
  return (await readdir(directory).catch(() => [])).toSorted()
}
