/** All that is examined, in the order in which a person wants to read it: what the data needs, what the clients need, the link, the machine. */
import { dirname } from 'node:path'
import type { Judgement } from '../../clock/trust.ts'
import { isTrusted } from '../../clock/trust.ts'
import { formatListenAddress, parseListenAddress } from '../../config/address.ts'
import type { Config } from '../../config/schema.ts'
import { listenerOptions } from '../../mqtt/configured.ts'
import { fileSystemOf, mountAt } from '../../storage/file-system.ts'
import { nodeDisk } from '../../storage/node-disk.ts'
import { measureFsync } from '../measure/fsync.ts'
import type { Latencies } from '../measure/latencies.ts'
import type { BrokerStatus } from '../operations.ts'
import { nearestExisting, probeListen } from '../probes.ts'
import { type BlockDevice, blockDeviceOf } from './block-device.ts'
import { examinePower, examineWatchdog } from './board.ts'
import { examineCard } from './card.ts'
import { examineCertificates } from './certificates.ts'
import { examineClock } from './clock.ts'
import { examineFileSystem, examineFsync, examineSpace } from './disk.ts'
import { type Finding, ok } from './finding.ts'
import type { Machine } from './machine.ts'
import { examineMemory, examineSwap } from './memory.ts'
import { examinePermissions } from './permissions.ts'
import { examinePorts, type WantedPort } from './ports.ts'
import {
  examineNativeModules,
  examineNode,
  examineOpenFiles,
  examinePageSize,
  type NativeModule,
} from './runtime.ts'

/** What is examined, and with what. */
export interface Examined {
  readonly machine: Machine
  readonly config: Config
  /** null without one. */
  readonly configFile: string | null
  /** `http.address` was written by a person, and is not the default. */
  readonly isHttpGiven: boolean
  /** The broker that runs on the data directory. */
  readonly broker: BrokerStatus | null
  readonly clock: Judgement
  /** ms since 1970 */
  readonly now: number
  readonly signal: AbortSignal
  /** What is to be said of one upstream's link, or of a downlink's own; the command line asks sync. */
  examineLink(entry: Config['upstreams'][number], clock: Judgement): Promise<Omit<Finding, 'item'>[]>
  loadNativeModules(): Promise<NativeModule[]>
}

const FSYNCS = 30

/** Findings as they are made. */
export async function* examine(examined: Examined): AsyncGenerator<Finding, void, void> {
  const { machine, config, broker, clock, now } = examined
  const pid = broker?.pid ?? 'self'
  yield examineClock(machine, clock, config.clock.trust, now)
  yield* examineDisk(examined)
  yield* await examinePermissions(machine, {
    dataDirectory: config.data,
    configFile: examined.configFile,
    config,
    brokerUid: broker === null ? null : await uidOf(machine, broker.pid),
  })
  yield* await examinePorts(machine, wantedPorts(examined), broker?.pid ?? null, probeListen)
  for (const { address, tls } of listenerOptions(config)) {
    if (tls === null) continue
    const view = { now, isTrusted: isTrusted(clock.trust) }
    yield* await examineCertificates(nodeDisk, tls, formatListenAddress(address), view)
  }
  yield* examineLinks(examined)
  yield examineMemory(machine, pid)
  yield examineSwap(machine)
  yield examineOpenFiles(machine, pid, config.limits.connectionsMax)
  yield examineNode(machine)
  yield* await examineNativeModules(machine, await examined.loadNativeModules())
  yield examinePageSize(machine)
  yield examinePower(machine)
  yield examineWatchdog(machine)
}

async function* examineDisk({ machine, config, signal }: Examined): AsyncGenerator<Finding, void, void> {
  const place = await nearestExisting(config.data).catch(() => dirname(config.data))
  const device: BlockDevice | null = await blockDeviceOf(machine, place)
  yield examineSpace(machine, place, config)
  const real = await machine.realPath(place)
  const mounts = await machine.readText('/proc/self/mountinfo')
  const mount = real === null || mounts === null ? null : mountAt(real, mounts)
  yield examineFileSystem(await fileSystemOf(place), mount?.options ?? new Set())
  yield examineFsync(await measuredFsync(place, signal), device)
  yield examineCard(machine, device)
}

async function measuredFsync(directory: string, signal: AbortSignal): Promise<Latencies | null> {
  try {
    return await measureFsync(directory, FSYNCS, signal)
  } catch {
    return null
  }
}

async function* examineLinks({ config, clock, examineLink }: Examined): AsyncGenerator<Finding, void, void> {
  if (config.upstreams.length === 0) yield ok('upstream', 'none is configured')
  for (const entry of config.upstreams) {
    if (typeof entry.directory === 'string') {
      yield ok(`upstream ${entry.name}`, `files in ${entry.directory}`)
      continue
    }
    for (const found of await examineLink(entry, clock)) yield { item: `upstream ${entry.name}`, ...found }
  }
  for (const { name, connection } of config.downlinks) {
    // else it has its upstream's
    if (typeof connection !== 'object' || connection === null) continue
    const entry = { ...connection, name, kind: 'kafka' }
    for (const found of await examineLink(entry, clock)) yield { item: `downlink ${name}`, ...found }
  }
}

function wantedPorts({ config, isHttpGiven }: Examined): WantedPort[] {
  const wanted = config.mqtt.listeners.map(({ address }, at) => ({
    key: `mqtt.listeners[${at}]`,
    address: parseListenAddress(address),
    isOptional: false,
  }))
  if (config.http.address !== null) {
    const isOptional = !isHttpGiven
    wanted.push({ key: 'http.address', address: parseListenAddress(config.http.address), isOptional })
  }
  return wanted.flatMap(({ address, ...port }) => (typeof address === 'string' ? [] : [{ address, ...port }]))
}

/** proc(5): `Uid: real effective saved fs`. */
async function uidOf(machine: Machine, pid: number): Promise<number | null> {
  const found = /^Uid:\s+\d+\s+(\d+)/m.exec((await machine.readText(`/proc/${pid}/status`)) ?? '')?.[1]
  return found === undefined ? null : Number(found)
}
