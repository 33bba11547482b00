/** What differs between the configuration that runs and one that was read again, and what of it a running broker can take up. */
import type { BrokerConfig } from './schema.ts'

export interface ConfigChange {
  /** As people write it: `limits.connectionsMax`, `streams.events.writer`. */
  readonly key: string
  readonly before: unknown
  readonly after: unknown
}

/** What was done with a configuration that was read again. */
export interface ReloadReport {
  /** `KEY: BEFORE -> AFTER` */
  readonly applied: readonly string[]
  /** Keys that differ, and count from the next start on. */
  readonly needsRestart: readonly string[]
}

const LIVE_LIMITS = [
  'connectionsMax',
  'connectionsPerAddressMax',
  'connectsPerSecond',
  'connectsPerSecondPerAddress',
  'messagesPerSecondPerClient',
  'bytesPerSecondPerClient',
] as const
const LIVE_MQTT = ['anonymous', 'permissions', 'sysIntervalSeconds'] as const
const LIVE_KEYS = new Set([
  ...LIVE_LIMITS.map((key) => `limits.${key}`),
  ...LIVE_MQTT.map((key) => `mqtt.${key}`),
])

/** Whether a running broker takes the change up. */
export function isLive({ key }: ConfigChange): boolean {
  return LIVE_KEYS.has(key) || /^streams\..+\.writer$/.test(key)
}

export function configChanges(before: BrokerConfig, after: BrokerConfig): ConfigChange[] {
  return differences('', byName(before), byName(after))
}

/** What runs once the live ones of the changes were taken up. */
export function withLiveChanges(before: BrokerConfig, after: BrokerConfig): BrokerConfig {
  const writers = new Map(after.streams.map(({ name, writer }) => [name, writer]))
  return {
    ...before,
    mqtt: { ...before.mqtt, ...picked(after.mqtt, LIVE_MQTT) },
    limits: { ...without(before.limits, LIVE_LIMITS), ...picked(after.limits, LIVE_LIMITS) },
    streams: before.streams.map(({ writer, ...stream }) => {
      const now = writers.has(stream.name) ? writers.get(stream.name) : writer
      return now === undefined ? stream : { ...stream, writer: now }
    }),
  }
}

/** `undefined` where a key is not there. */
export function changeText({ key, before, after }: ConfigChange): string {
  const text = (value: unknown) => (value === undefined ? 'not set' : JSON.stringify(value))
  return `${key}: ${text(before)} -> ${text(after)}`
}

/** Streams under their names, where their order is the same. */
function byName(config: BrokerConfig): object {
  const order = config.streams.map(({ name }) => name)
  return {
    ...config,
    streams: { order, ...Object.fromEntries(config.streams.map((stream) => [stream.name, stream])) },
  }
}

function differences(key: string, before: unknown, after: unknown): ConfigChange[] {
  if (isGroup(before) && isGroup(after)) {
    const names = new Set([...Object.keys(before), ...Object.keys(after)])
    return [...names].flatMap((name) =>
      differences(key === '' ? name : `${key}.${name}`, before[name], after[name]),
    )
  }
  return JSON.stringify(before) === JSON.stringify(after) ? [] : [{ key, before, after }]
}

function isGroup(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function picked<T extends object, K extends keyof T>(from: T, keys: readonly K[]): Pick<T, K> {
  return Object.fromEntries(keys.filter((key) => key in from).map((key) => [key, from[key]])) as Pick<T, K>
}

function without<T extends object, K extends keyof T>(from: T, keys: readonly K[]): Omit<T, K> {
  return Object.fromEntries(Object.entries(from).filter(([key]) => !keys.includes(key as K))) as Omit<T, K>
}
