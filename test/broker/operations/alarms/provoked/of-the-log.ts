/** The log, its disk, its tables. */
import { readdirSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { runLogAcknowledge } from '../../../../../broker/operations/commands/log-acknowledge.ts'
import { nodeDisk } from '../../../../../broker/storage/node-disk.ts'
import type { Disk } from '../../../../../broker/storage/store.ts'
import { FaultyDisk } from '../../../../support/faulty-disk.ts'
import { Edge, type EdgeOptions, scratch } from './edge.ts'
import type { Provocation } from './provocation.ts'

const MB = 1_048_576
const SMALL_SEGMENTS = { segmentBytes: MB }
const everything = { name: 'events', topics: ['#'], partitions: 1 }
const payloads = (count: number, bytes: number) =>
  Array.from({ length: count }, () => Buffer.alloc(bytes, 'x'))

/** A broker whose disk can be made to fail. */
async function onFaultyDisk(config: EdgeOptions['config'] = {}): Promise<[Edge, FaultyDisk]> {
  const disk = new FaultyDisk(nodeDisk)
  return [await Edge.start({ disk, config }), disk]
}

/** One that has so much room, less what lies in the directory. */
function diskOf(bytes: number, directory: string): Disk {
  return new Proxy(nodeDisk, {
    get(disk, name) {
      if (name !== 'space') return Reflect.get(disk, name) as unknown
      return async () => {
        const freeBytes = Math.max(0, bytes - usage(directory))
        return { freeBytes, totalBytes: bytes }
      }
    },
  })
}

/** Of all files below it; one that goes meanwhile has none. */
function usage(directory: string): number {
  let bytes = 0
  for (const name of readdirSync(directory, { recursive: true, encoding: 'utf8' })) {
    const found = statSync(join(directory, name), { throwIfNoEntry: false })
    if (found?.isFile()) bytes += found.size
  }
  return bytes
}

/** Not waited for: nothing acknowledges it while the disk fails. */
async function publishInVain(edge: Edge): Promise<void> {
  const client = await edge.connect()
  client.publish('a/b', 'x', { qos: 1 }, () => {})
}

/** A segment that is sealed is judged when it is first read. */
async function readAll(edge: Edge): Promise<Edge> {
  await edge.get('/api/v1/streams/events/records')
  return edge
}

async function tableState(edge: Edge): Promise<string | undefined> {
  return (await edge.report()).streams[0]!.table?.state
}

let faulty: FaultyDisk

export const LOG_PROVOCATIONS = {
  'log-failed': {
    severity: 'critical',
    subject: 'log',
    summary: /the log takes no records: .*EIO/,
    async provoke() {
      const [edge, disk] = await onFaultyDisk()
      faulty = disk
      disk.fail({ on: 'sync', path: '/log/', times: Number.POSITIVE_INFINITY })
      disk.fail({ on: 'open-store', path: '/log/', times: Number.POSITIVE_INFINITY })
      await publishInVain(edge)
      await edge.until('the log has failed', async () => (await edge.log()).condition !== 'open')
      return edge
    },
    // the disk is there again
    async mend(edge) {
      faulty.heal()
      await edge.until('the log is open', async () => (await edge.log()).condition === 'open')
    },
  },

  'disk-full': {
    severity: 'critical',
    subject: 'disk',
    summary: /nothing new is taken/,
    async provoke() {
      const directory = scratch()
      // a file where the archive's directory should be: it takes nothing
      writeFileSync(join(directory, 'usb'), '')
      const archive = { name: 'usb', kind: 'archive', directory: './usb' }
      const log = { ...SMALL_SEGMENTS, disk: { bytesMax: 8 * MB, reserveBytes: MB } }
      const config = { log, streams: [everything], upstreams: [archive] }
      const edge = await Edge.start({ directory, config })
      const client = await edge.connect()
      for (const payload of payloads(24, MB / 2)) client.publish('a/b', payload, { qos: 1 }, () => {})
      await edge.until('the disk is full', async () => (await edge.log()).space.isFull)
      return edge
    },
    // upstream catches up: what it has may go
    async mend(edge) {
      rmSync(join(edge.directory, 'usb'))
      await edge.sync('now', 'usb')
      await edge.until('there is room', async () => !(await edge.log()).space.isFull)
    },
  },

  'disk-nearly-full': {
    severity: 'info',
    subject: 'disk',
    summary: /are free, and .* kept in reserve/,
    async provoke() {
      const directory = scratch()
      const disk = diskOf(48 * MB, directory)
      const log = { ...SMALL_SEGMENTS, disk: { reserveBytes: 10 * MB } }
      const edge = await Edge.start({ directory, disk, config: { log, streams: [everything] } })
      await edge.publish('a/b', payloads(24, MB / 2))
      // what others have on the disk
      const free = async () => (await disk.space(directory))!.freeBytes
      writeFileSync(join(directory, 'others'), '')
      truncateSync(join(directory, 'others'), (await free()) - 17 * MB)
      await edge.until('it knows', async () => ((await edge.log()).space.freeBytes ?? 0) < 20 * MB)
      return edge
    },
    // a retention
    async mend(edge) {
      await edge.reload({ streams: [{ ...everything, retention: { bytes: MB } }] })
      await edge.until('old ones are gone', async () => ((await edge.log()).space.freeBytes ?? 0) > 25 * MB)
    },
  },

  'commits-failing': {
    severity: 'critical',
    subject: 'log',
    summary: /1 commit did not reach the disk/,
    async provoke() {
      const [edge, disk] = await onFaultyDisk()
      disk.fail({ on: 'sync', path: '/log/' })
      await publishInVain(edge)
      await edge.until('a commit has failed', async () => (await edge.log()).failedCommits === 1)
      return edge
    },
    // a new disk: no more of them
    async mend(edge) {
      await edge.publish('a/b', ['again'])
    },
  },

  'commits-slow': {
    severity: 'warning',
    subject: 'log',
    summary: /one commit in a hundred takes/,
    async provoke() {
      const [edge, disk] = await onFaultyDisk()
      // some looks, so that what comes now is recent
      edge.pass(60)
      const gate = disk.hold('sync', '/log/')
      await publishInVain(edge)
      await gate.reached
      await delay(1200)
      gate.release()
      await edge.until('it is on disk', async () => (await edge.log()).commits === 1)
      return edge
    },
    async mend(edge) {
      await edge.publish('a/b', ['soon'])
    },
  },

  'log-damaged': {
    severity: 'warning',
    subject: 'log',
    summary: /since the start: 1 damaged segment in quarantine/,
    async provoke() {
      const edge = await Edge.start({ config: { log: SMALL_SEGMENTS, streams: [everything] } })
      await edge.publish('a/b', payloads(8, MB / 4))
      await edge.stop()
      const [chain] = readdirSync(join(edge.data, 'log'))
      const segment = join(edge.data, 'log', chain!, '00000001')
      for (const name of readdirSync(segment)) {
        if (/^(MANIFEST|CURRENT)/.test(name)) writeFileSync(join(segment, name), 'not what it was')
      }
      return readAll(await edge.restart())
    },
    // whether its end had records is not known where it was the active one: then they count as lost
    async mend(edge) {
      await edge.headwater((context, options) => runLogAcknowledge(context, { ...options, yes: true }))
    },
  },

  'log-damaged: records are lost': {
    severity: 'warning',
    subject: 'log',
    summary: /at most [0-9]+ records? lost/,
    async provoke() {
      const edge = await Edge.start({ config: { log: SMALL_SEGMENTS, streams: [everything] } })
      await edge.publish('a/b', payloads(16, MB / 4))
      await edge.stop()
      const [chain] = readdirSync(join(edge.data, 'log'))
      rmSync(join(edge.data, 'log', chain!, '00000001'), { recursive: true })
      const found = await readAll(await edge.restart())
      await found.alarm('log-damaged', true, 60)
      // a restart does not make the records come back
      return found.restart()
    },
    async mend(edge) {
      const said = await edge.headwater((context, options) =>
        runLogAcknowledge(context, { ...options, yes: true }),
      )
      if (!/^lost {2}events\/0 offsets 0 to /m.test(said)) throw new Error(said)
      return edge.restart()
    },
  },

  'sessions-unwritable': {
    severity: 'critical',
    subject: 'broker',
    summary: /the state of sessions cannot be written: .*ENOSPC/,
    async provoke() {
      const [edge, disk] = await onFaultyDisk()
      faulty = disk
      for (const on of ['sync', 'write', 'open-store'] as const) {
        disk.fail({ on, path: '/mqtt', times: Number.POSITIVE_INFINITY, code: 'ENOSPC' })
      }
      const client = await edge.connect({ clean: false, clientId: 'hmi' }).catch(() => null)
      client?.subscribe('a/#', { qos: 1 }, () => {})
      return edge
    },
    async mend(edge) {
      faulty.heal()
      await edge.until('it writes', async () => (await edge.report()).broker!.mqtt.sessions.failure === null)
    },
  },

  'unsynced-dropped': {
    severity: 'warning',
    subject: 'events',
    summary: /records? of events went in the last ten minutes before every upstream had them/,
    async provoke() {
      const directory = scratch()
      writeFileSync(join(directory, 'usb'), '')
      const config = {
        log: SMALL_SEGMENTS,
        streams: [{ ...everything, retention: { bytes: MB, unsynced: 'drop-oldest' } }],
        upstreams: [{ name: 'usb', kind: 'archive', directory: './usb' }],
      }
      const edge = await Edge.start({ directory, config })
      edge.pass(15)
      await edge.publish('a/b', payloads(16, MB / 4))
      await edge.until('some are gone', async () => /DROPPED UNSYNCED/.test(await edge.status()))
      return edge
    },
    // more room
    async mend(edge) {
      await edge.reload({ streams: [everything], upstreams: [] })
    },
  },

  'table-failed': {
    severity: 'warning',
    subject: 'events',
    summary: /the table of events cannot be read: .*ENOSPC/,
    async provoke() {
      faulty = new FaultyDisk(nodeDisk)
      faulty.fail({ on: 'create-store', path: '/tables/', times: Number.POSITIVE_INFINITY, code: 'ENOSPC' })
      const config = { streams: [{ ...everything, table: true }] }
      const edge = await Edge.start({ disk: faulty, config })
      await edge.until('it has failed', async () => (await tableState(edge)) === 'failed')
      return edge
    },
    // the disk allows it
    async mend(edge) {
      faulty.heal()
      await edge.until('it is built', async () => (await tableState(edge)) === 'current')
    },
  },

  'file-system-unsafe': {
    severity: 'warning',
    subject: 'disk',
    summary: /tmpfs is in memory/,
    provoke: () => Edge.start({ directory: scratch('/dev/shm') }),
    // its directory moves to a disk
    async mend(edge) {
      await edge.stop()
      return Edge.start({ directory: scratch(await onDisk()) })
    },
  },

  'card-life-short': {
    severity: 'warning',
    subject: 'disk',
    summary: /a new card lasts .* if it goes on as in the last day/,
    async provoke() {
      const log = { disk: { reserveBytes: MB, enduranceBytes: 1_000_000_000 } }
      const edge = await Edge.start({
        directory: scratch(await onDisk()),
        config: { log, streams: [everything] },
      })
      edge.pass(15)
      await edge.publish('a/b', payloads(8, MB / 2))
      return edge
    },
    // a card of higher endurance
    async mend(edge) {
      const log = { disk: { reserveBytes: MB, enduranceBytes: 1_000_000_000_000_000 } }
      return edge.restart({ config: { log } })
    },
  },
} as const satisfies Record<string, Provocation>

/** A directory of which the kernel counts what is written to the device. */
async function onDisk(): Promise<string> {
  const TMPFS = 0x01021994
  return (await statfs(tmpdir())).type === TMPFS ? process.cwd() : tmpdir()
}
