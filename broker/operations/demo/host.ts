/** This machine's own sensors, from /proc and /sys. What a machine does not have is left out. */
import { readdirSync, readFileSync, statfsSync } from 'node:fs'
import { round, type Sensor } from './sensor.ts'

const EVERY_MS = 1000
const SLOW_MS = 5000

/** Where the files are: tests hand in copies. */
export interface HostFiles {
  readonly proc: string
  readonly sys: string
  /** A path on the disk to watch. */
  readonly disk: string
}

const HOST_FILES: HostFiles = { proc: '/proc', sys: '/sys', disk: '/' }

export function hostSensors(name: string, files: HostFiles = HOST_FILES): Sensor[] {
  const topic = (what: string) => `demo/host/${name.replace(/[/+#\0]/g, '-')}/${what}`
  const sensors = [
    everyTime(topic('cpu'), EVERY_MS, cpu(files)),
    everyTime(topic('memory'), SLOW_MS, memory(files)),
    everyTime(topic('temperature'), SLOW_MS, temperature(files)),
    everyTime(topic('disk'), SLOW_MS, disk(files)),
    everyTime(topic('network'), EVERY_MS, network(files)),
  ]
  // A first reading tells what is there.
  return sensors.filter((sensor) => sensor.tick(Date.now()).payload !== null)
}

/** A sensor that cannot be read this time is silent, not dead. */
function everyTime(topic: string, everyMs: number, read: (now: number) => object | null): Sensor {
  return {
    topic,
    tick(now) {
      try {
        return { payload: read(now), afterMs: everyMs }
      } catch {
        return { payload: null, afterMs: everyMs }
      }
    },
  }
}

/** Shares of all cores' time since the last reading, and the load averages. */
function cpu({ proc }: HostFiles): () => object {
  let last = { busy: 0, total: 0 }
  return () => {
    const fields = readFileSync(`${proc}/stat`, 'utf8')
      .split('\n', 1)[0]!
      .trim()
      .split(/\s+/)
      .slice(1)
      .map(Number)
    // user nice system idle iowait irq softirq steal; guest time is within user
    const total = fields.slice(0, 8).reduce((sum, ticks) => sum + ticks, 0)
    const busy = total - fields[3]! - fields[4]!
    const passed = total - last.total
    const percent = passed > 0 ? (100 * (busy - last.busy)) / passed : 0
    last = { busy, total }
    const [load1, load5, load15] = readFileSync(`${proc}/loadavg`, 'utf8').split(' ').map(Number)
    return { percent: round(percent, 1), load1, load5, load15 }
  }
}

function memory({ proc }: HostFiles): () => object {
  return () => {
    const text = readFileSync(`${proc}/meminfo`, 'utf8')
    const bytes = (name: string) =>
      1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0)
    const total = bytes('MemTotal')
    const available = bytes('MemAvailable')
    return {
      totalBytes: total,
      availableBytes: available,
      usedPercent: round(100 * (1 - available / total), 1),
    }
  }
}

/** Every thermal zone by its type; virtual machines have none. */
function temperature({ sys }: HostFiles): () => object | null {
  return () => {
    const zones: Record<string, number> = {}
    const directory = `${sys}/class/thermal`
    for (const entry of readdirSync(directory).filter((zone) => zone.startsWith('thermal_zone'))) {
      const type = readFileSync(`${directory}/${entry}/type`, 'utf8').trim()
      zones[type in zones ? `${type}-${entry}` : type] =
        Number(readFileSync(`${directory}/${entry}/temp`, 'utf8')) / 1000
    }
    return Object.keys(zones).length === 0 ? null : { celsius: zones }
  }
}

function disk({ disk: path }: HostFiles): () => object {
  return () => {
    const { bsize, blocks, bavail } = statfsSync(path)
    const total = bsize * blocks
    const free = bsize * bavail
    return { totalBytes: total, freeBytes: free, usedPercent: round(100 * (1 - free / total), 1) }
  }
}

/** Bytes a second through each interface but the loopback. */
function network({ proc }: HostFiles): (now: number) => object | null {
  const last = new Map<string, { at: number; received: number; sent: number }>()
  return (now) => {
    const interfaces: Record<string, { receivedPerS: number; sentPerS: number }> = {}
    for (const line of readFileSync(`${proc}/net/dev`, 'utf8').split('\n').slice(2)) {
      const match = /^\s*([^:]+):\s*(.*)$/.exec(line)
      if (match === null || match[1] === 'lo') continue
      const fields = match[2]!.split(/\s+/).map(Number)
      const counters = { at: now, received: fields[0]!, sent: fields[8]! }
      const before = last.get(match[1]!) ?? counters
      const seconds = Math.max(0.001, (now - before.at) / 1000)
      interfaces[match[1]!] = {
        receivedPerS: Math.round((counters.received - before.received) / seconds),
        sentPerS: Math.round((counters.sent - before.sent) / seconds),
      }
      last.set(match[1]!, counters)
    }
    return Object.keys(interfaces).length === 0 ? null : { interfaces }
  }
}
