/**
 * What differs between the configuration that runs and one that was read again, and what of it a running broker takes up. Entries of
 * upstreams and downlinks are sync's: see entry-changes.ts.
 */
import { restartReason } from './restart-reasons.ts'
import type { BrokerConfig, StreamConfig } from './schema.ts'

export interface ConfigChange {
  /** Streams are under their names, and their order is `streams`, `order`. */
  readonly path: readonly string[]
  readonly before: unknown
  readonly after: unknown
}

/** What was done with a configuration that was read again. */
export interface ReloadReport {
  /** `KEY: BEFORE -> AFTER`, or what became of an entry: `KEY: added`. */
  readonly applied: readonly string[]
  readonly needsRestart: readonly PendingChange[]
}

/** Counts from the next start on. */
export interface PendingChange {
  /** As people write it: `limits.sessionsMax`, `streams.events.table`. */
  readonly key: string
  /** Why it is not taken up, in one clause. */
  readonly reason: string
}

/** Groups that others look after. */
const ELSEWHERE: readonly string[] = ['upstreams', 'downlinks']
/** Characters of one value in a line. */
const SHOWN_CHARACTERS_MAX = 120

/** Whether a running broker takes the change up. */
export function isLive(change: ConfigChange): boolean {
  return restartReason(change.path) === null
}

export function pendingChange({ path }: ConfigChange): PendingChange {
  return { key: path.join('.'), reason: restartReason(path) ?? '' }
}

export function configChanges(before: BrokerConfig, after: BrokerConfig): ConfigChange[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)])
  const groups = [...names].filter((name) => name !== 'streams' && !ELSEWHERE.includes(name))
  const values = (config: BrokerConfig) => config as unknown as Record<string, unknown>
  return [
    ...groups.flatMap((name) => differences([name], values(before)[name], values(after)[name])),
    ...streamChanges(before.streams, after.streams),
  ]
}

function streamChanges(before: readonly StreamConfig[], after: readonly StreamConfig[]): ConfigChange[] {
  const [old, now] = [byName(before), byName(after)]
  const names = [...new Set([...now.keys(), ...old.keys()])]
  const changes = names.flatMap((name) => oneStream(name, old.get(name), now.get(name)))
  const left = (list: readonly StreamConfig[]) =>
    list.map(({ name }) => name).filter((name) => old.has(name) && now.has(name))
  const isMoved = JSON.stringify(left(before)) !== JSON.stringify(left(after))
  if (!isMoved) return changes
  const order = { before: before.map(({ name }) => name), after: after.map(({ name }) => name) }
  return [...changes, { path: ['streams', 'order'], ...order }]
}

/** Whether a table is kept is decided at the start, also that of a stream that comes or goes. */
function oneStream(name: string, before?: StreamConfig, after?: StreamConfig): ConfigChange[] {
  const path = ['streams', name]
  if (before !== undefined && after !== undefined) return differences(path, before, after)
  const whole = after === undefined ? after : { ...after, table: false }
  const changes: ConfigChange[] = [{ path, before, after: whole }]
  const [had, has] = [before?.table === true, after?.table === true]
  if (had || has) changes.push({ path: [...path, 'table'], before: had, after: has })
  return changes
}

const byName = (streams: readonly StreamConfig[]) =>
  new Map(streams.map((stream) => [stream.name, stream] as const))

/** What runs once the live ones of the changes were taken up. */
export function withLiveChanges(before: BrokerConfig, after: BrokerConfig): BrokerConfig {
  const { streams, ...rest } = structuredClone(before)
  const running = { ...rest, streams: Object.fromEntries(byName(streams)) } as Record<string, unknown>
  for (const change of configChanges(before, after).filter(isLive)) {
    if (change.path.join('.') !== 'streams.order') setAt(running, change.path, change.after)
  }
  const kept = running.streams as Record<string, StreamConfig>
  return { ...running, streams: after.streams.map(({ name }) => kept[name]!) } as unknown as BrokerConfig
}

function setAt(target: Record<string, unknown>, path: readonly string[], value: unknown): void {
  const [step, ...rest] = path as [string, ...string[]]
  if (rest.length > 0) {
    if (!isGroup(target[step])) target[step] = {}
    setAt(target[step] as Record<string, unknown>, rest, value)
  } else if (value === undefined) delete target[step]
  else target[step] = value
}

/** In one line. @param shown what stands for a value; secrets are the caller's to hide */
export function changeText({ path, before, after }: ConfigChange, shown = shownValue): string {
  const key = path.join('.')
  if (key === 'streams.order') return `streams: they come in another order: ${(after as string[]).join(', ')}`
  if (key === 'mqtt.listeners') return `${key}: ${listenersText(before as Listener[], after as Listener[])}`
  if (path[0] === 'streams' && path.length === 2) {
    if (before !== undefined) return `${key}: removed; what it holds stays, and no message goes to it`
    return `${key}: added, for ${(after as StreamConfig).topics.join(', ')}`.slice(
      0,
      2 * SHOWN_CHARACTERS_MAX,
    )
  }
  return `${key}: ${shown(before)} -> ${shown(after)}`
}

type Listener = BrokerConfig['mqtt']['listeners'][number]

/** What becomes of each, by its address. */
function listenersText(before: readonly Listener[], after: readonly Listener[]): string {
  const isIn = (list: readonly Listener[], one: Listener) =>
    list.some((other) => JSON.stringify(other) === JSON.stringify(one))
  const has = (list: readonly Listener[], { address }: Listener) =>
    list.some((other) => other.address === address)
  const parts = [
    ...after.filter((one) => !has(before, one)).map(({ address }) => `${address} added`),
    ...after
      .filter((one) => has(before, one) && !isIn(before, one))
      .map(({ address }) => `${address} changed`),
    ...before
      .filter((one) => !has(after, one))
      .map(({ address }) => `${address} removed, and its connections end`),
  ]
  return parts.length > 0 ? parts.join('; ') : 'they come in another order, or number'
}

/** `not set` where a key is not there. */
export function shownValue(value: unknown): string {
  if (value === undefined) return 'not set'
  const text = JSON.stringify(value)
  return text.length <= SHOWN_CHARACTERS_MAX ? text : `${text.slice(0, SHOWN_CHARACTERS_MAX - 3)}...`
}

export function differences(path: readonly string[], before: unknown, after: unknown): ConfigChange[] {
  if (isGroup(before) && isGroup(after)) {
    const names = new Set([...Object.keys(before), ...Object.keys(after)])
    return [...names].flatMap((name) => differences([...path, name], before[name], after[name]))
  }
  return JSON.stringify(before) === JSON.stringify(after) ? [] : [{ path, before, after }]
}

function isGroup(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
