/**
 * Opens the state of the sessions, whatever became of it. What a start can find, and what follows:
 *
 * | found                                                        | decision                                                    |
 * |--------------------------------------------------------------|-------------------------------------------------------------|
 * | nothing                                                      | no sessions; what the log holds already is nobody's          |
 * | a whole store, its positions within the log                  | read; the log is read from its positions on (catch-up.ts)    |
 * | LevelDB must not open it, or cannot                          | to quarantine; sessions begin anew                           |
 * | a value whose checksum is wrong, or that cannot be decoded   | the same                                                     |
 * | entries without meta, or of a newer format                   | the same                                                     |
 * | positions beyond the log, or of a partition that it lacks    | the same: offsets could be other messages' now               |
 * | the disk is full or read-only, no permission, locked         | the start fails with the disk's reason; nothing is removed   |
 */
import { join } from 'node:path'
import { DataDirectoryLockedError, NoRoomError } from '../../errors.ts'
import type { LogSink } from '../../log-sink.ts'
import { checkStore } from '../../storage/level-files/check-store.ts'
import { quarantine } from '../../storage/quarantine.ts'
import type { Disk, Store } from '../../storage/store.ts'
import type { Subscription } from '../hub/subscription.ts'
import type { Will } from '../packets/packet.ts'
import { decodePosition, type ReplayPosition } from '../replay/replay-position.ts'
import { messageBytes } from './message-bytes.ts'
import type { StoredTime } from './session-clock.ts'
import {
  type Away,
  decodeAway,
  decodeMessage,
  decodeMeta,
  decodeOffset,
  decodeQos2,
  decodeRetained,
  decodeSession,
  decodeSubscription,
  decodeTime,
  decodeWill,
  END_KEY,
  FIRST_KEY,
  FORMAT,
  isLateWill,
  KIND,
  placeOf,
  type StoredQos2,
  sessionOf,
  textOf,
  unsealed,
} from './state-format.ts'
import { STATE_STORE_OPTIONS } from './state-store.ts'

export const STATE_DIRECTORY = 'mqtt'
const PAGE_BYTES = 64 * 1024

export interface LoadedSession {
  readonly number: number
  readonly clientId: string
  readonly expirySeconds: number
  readonly user: string | null
  readonly subscriptions: Subscription[]
  readonly qos2: (StoredQos2 & { readonly partition: number; readonly offset: number })[]
  readonly chunks: [number: number, bytes: Buffer][]
  /** Filters whose retained messages have not all been delivered. */
  readonly feeds: string[]
  /** Positions of replays, by filter. */
  readonly replays: Map<string, ReplayPosition>
  away: Away | null
  /** The packet id that was given out last. */
  lastPacketId: number
}

export interface LoadedWill {
  readonly session: number
  readonly clientId: string
  readonly user: string | null
  /** It was due, and its client had come back. */
  readonly isLate: boolean
  readonly will: Will
}

export interface LoadedRetained {
  readonly topic: string
  readonly bytes: number
  readonly expiresAt: number | null
}

export interface LoadedState {
  hasHead: boolean
  /** Numbers below are taken. */
  nextSession: number
  readonly sessions: Map<number, LoadedSession>
  readonly wills: LoadedWill[]
  readonly retained: LoadedRetained[]
  /** Messages that no stream holds: their bytes by number. */
  readonly inline: Map<number, number>
  readonly applied: Map<number, number>
  time: StoredTime | null
  /** Entries of sessions that there are not: to be removed. */
  readonly orphans: Buffer[]
}

export interface StateFiles {
  readonly disk: Disk
  /** The data directory. */
  readonly data: string
  readonly log: LogSink
  /** The durable offsets of the log, by partition id. */
  readonly durableOffsets: ReadonlyMap<number, number>
}

/** The state is not to be used: why. */
class UnusableStateError extends Error {}

/** @returns what was stored; null where there was nothing, or nothing that can be used. @throws where the disk is at fault */
export async function openState(files: StateFiles): Promise<{ store: Store; loaded: LoadedState | null }> {
  const { disk, data, log } = files
  const directory = join(data, STATE_DIRECTORY)
  const names = await disk.list(data)
  if (names.includes(STATE_DIRECTORY)) {
    try {
      return await openStored(files, directory)
    } catch (error) {
      if (isOfTheDisk(error)) throw error
      const reason = (error as Error).message
      log.error('the state of the MQTT sessions cannot be used: sessions begin anew', { reason })
      await quarantine(disk, directory, join(data, 'quarantine'), { what: reason }, log)
    }
  }
  await disk.makeDirectory(directory)
  return { store: await disk.openStore(directory, STATE_STORE_OPTIONS), loaded: null }
}

async function openStored(
  { disk, durableOffsets }: StateFiles,
  directory: string,
): Promise<{ store: Store; loaded: LoadedState | null }> {
  // a directory that was made and not filled yet is nothing to be judged: LevelDB makes CURRENT before it writes the first entry
  const files = disk.hasLevelFiles ? await disk.list(directory) : []
  if (files.some((name) => name === 'CURRENT' || /\.(ldb|sst|log)$/.test(name))) {
    const { verdict, findings } = await checkStore(disk, directory, { depth: 'blocks' })
    if (verdict === 'salvage') {
      const kinds = [...new Set(findings.map(({ kind }) => kind))]
      throw new UnusableStateError(`its files are damaged: ${kinds.join(', ')}`)
    }
  }
  const store = await disk.openStore(directory, STATE_STORE_OPTIONS)
  try {
    const loaded = await load(store)
    const fault = loaded === null ? null : beyondLog(loaded.applied, durableOffsets)
    if (fault !== null) throw new UnusableStateError(fault)
    return { store, loaded }
  } catch (error) {
    await store.close()
    throw error
  }
}

function beyondLog(
  applied: ReadonlyMap<number, number>,
  durableOffsets: ReadonlyMap<number, number>,
): string | null {
  for (const [partition, offset] of applied) {
    const durable = durableOffsets.get(partition)
    if (durable === undefined) return `it is of another log: this one has no partition ${partition}`
    if (offset > durable) return `it is ahead of the log: offset ${offset}, and the log ends at ${durable}`
  }
  return null
}

async function load(store: Store): Promise<LoadedState | null> {
  const state: LoadedState = {
    hasHead: false,
    nextSession: 0,
    sessions: new Map(),
    wills: [],
    retained: [],
    inline: new Map(),
    applied: new Map(),
    time: null,
    orphans: [],
  }
  let isEmpty = true
  const scan = store.scan(FIRST_KEY, END_KEY)
  try {
    for (;;) {
      const entries = await scan.next(PAGE_BYTES)
      if (entries.length === 0) break
      isEmpty = false
      for (const { key, value } of entries) {
        const payload = unsealed(key, value)
        if (payload === undefined) throw new UnusableStateError('an entry is damaged')
        take(state, key, payload)
      }
    }
  } finally {
    await scan.close()
  }
  if (isEmpty) return null
  if (!state.hasHead) throw new UnusableStateError('it has entries and no head')
  return state
}

function take(state: LoadedState, key: Buffer, payload: Buffer): void {
  switch (key[0]) {
    case KIND.meta: {
      const { format, sessions } = decodeMeta(payload)
      if (format > FORMAT) throw new UnusableStateError('a newer version has written it')
      state.hasHead = true
      state.nextSession = Math.max(state.nextSession, sessions)
      return
    }
    case KIND.session: {
      const number = sessionOf(key)
      const [clientId, expirySeconds, user = null] = decodeSession(payload)
      const own = {
        subscriptions: [],
        qos2: [],
        chunks: [],
        feeds: [],
        replays: new Map(),
        away: null,
        lastPacketId: 0,
      }
      state.sessions.set(number, { number, clientId, expirySeconds, user, ...own })
      state.nextSession = Math.max(state.nextSession, number + 1)
      return
    }
    case KIND.will: {
      state.wills.push({ session: sessionOf(key), isLate: isLateWill(key), ...decodeWill(payload) })
      state.nextSession = Math.max(state.nextSession, sessionOf(key) + 1)
      return
    }
    case KIND.inline:
      state.inline.set(placeNumber(key), messageBytes(decodeMessage(payload)))
      return
    case KIND.retained: {
      const { expiresAt, message } = decodeRetained(payload)
      state.retained.push({ topic: textOf(key, 1), bytes: messageBytes(message), expiresAt })
      return
    }
    case KIND.applied:
      state.applied.set(sessionOf(key), decodeOffset(payload))
      return
    case KIND.time:
      state.time = decodeTime(payload)
      return
    default:
      takeOfSession(state, key, payload)
  }
}

function takeOfSession(state: LoadedState, key: Buffer, payload: Buffer): void {
  const session = state.sessions.get(sessionOf(key))
  if (session === undefined) {
    state.orphans.push(key)
    return
  }
  switch (key[0]) {
    case KIND.subscription:
      session.subscriptions.push(decodeSubscription(textOf(key, 5), payload))
      return
    case KIND.qos2:
      session.qos2.push({ ...decodeQos2(payload), ...placeOf(key) })
      return
    case KIND.away:
      session.away = decodeAway(payload)
      return
    case KIND.packetId:
      session.lastPacketId = decodeOffset(payload)
      return
    case KIND.chunk:
      session.chunks.push([key.readUInt32BE(5), Buffer.from(payload)])
      return
    case KIND.replay:
      session.replays.set(textOf(key, 5), decodePosition(payload))
      return
    case KIND.feed:
      session.feeds.push(textOf(key, 5))
      return
    default:
      throw new UnusableStateError(`an entry of kind ${key[0]} is not known`)
  }
}

function placeNumber(key: Buffer): number {
  return key.readUInt32BE(1) * 2 ** 32 + key.readUInt32BE(5)
}

/** Quarantine would not help, and later it may be whole. */
function isOfTheDisk(error: unknown): boolean {
  if (error instanceof DataDirectoryLockedError || error instanceof NoRoomError) return true
  const { message, code } = error as NodeJS.ErrnoException
  if (/^(ENOSPC|EROFS|EACCES|EPERM|EMFILE|ENFILE|ENOMEM|EDQUOT)$/.test(code ?? '')) return true
  return /no space left|read-only file|permission denied|not permitted|too many open|quota/i.test(message)
}
