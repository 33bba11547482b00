/** One device on a bus: what is read of it, what became of that, and when it is asked again. */
import { backoffMs } from '../backoff.ts'
import { TopicPattern } from '../outlet/topic-pattern.ts'
import type { ModbusDeviceConfig, RegisterConfig } from './config.ts'
import type { ReadResult } from './modbus-client.ts'
import { isBit, type PlannedRead, planReads } from './read-plan.ts'
import { nameOf, registerValue } from './register-value.ts'

export interface ModbusDeviceCounters {
  /** Requests that were answered with values. */
  reads: number
  /** By reason: `timeout`, `garbled`, `port-closed`, `exception 2`. */
  readonly failed: Map<string, number>
  /** Times at which it was due and not asked: the bus was busy with it, or it is backed off. */
  skipped: number
  messages: number
  /** Smoothed; null before the first answer. */
  roundTripMs: number | null
  /** ms since 1970. */
  lastSeen: number | null
}

export interface ModbusMessage {
  readonly topic: string
  readonly payload: Buffer
}

const BACKOFF_FIRST_MS = 1000
/** Share of the newest round trip, as TCP has it. */
const SMOOTHING = 1 / 8

export class ModbusDevice {
  readonly config: ModbusDeviceConfig
  readonly reads: readonly PlannedRead[]
  readonly counters: ModbusDeviceCounters = {
    reads: 0,
    failed: new Map(),
    skipped: 0,
    messages: 0,
    roundTripMs: null,
    lastSeen: null,
  }
  /** It did not answer so many times in a row. */
  silences = 0
  /** It is not asked before, monotonic ms. */
  askedNotBefore = 0
  readonly #port: string
  readonly #topic: TopicPattern

  /** @param port its name, for %p */
  constructor(config: ModbusDeviceConfig, port: string) {
    this.config = config
    this.reads = planReads(config.registers)
    this.#port = port
    this.#topic = new TopicPattern(config.topic)
  }

  onAnswer(tookMs: number, now: number): void {
    const { counters } = this
    counters.reads++
    counters.lastSeen = now
    counters.roundTripMs =
      counters.roundTripMs === null
        ? tookMs
        : counters.roundTripMs + SMOOTHING * (tookMs - counters.roundTripMs)
  }

  onFailure(reason: string): void {
    this.counters.failed.set(reason, (this.counters.failed.get(reason) ?? 0) + 1)
  }

  /** @param random from [0, 1) */
  backOff(monotonic: number, random: number): void {
    this.silences++
    const limits = { firstMs: BACKOFF_FIRST_MS, msMax: this.config.backoffSecondsMax * 1000 }
    this.askedNotBefore = monotonic + backoffMs(limits, this.silences, random)
  }

  valuesOf(
    read: PlannedRead,
    { bytes, bits }: Extract<ReadResult, { kind: 'read' }>,
  ): Map<RegisterConfig, unknown> {
    return new Map(
      read.registers.map((register) => {
        const offset = register.address - read.address
        return [register, isBit(read.kind) ? bits[offset] : registerValue(register, bytes, offset)]
      }),
    )
  }

  /** Values with a topic of their own by themselves, the others as one object, or each by itself with %k. */
  messagesOf(values: ReadonlyMap<RegisterConfig, unknown>): ModbusMessage[] {
    const messages: ModbusMessage[] = []
    const together: [string, unknown][] = []
    for (const [register, value] of values) {
      const own = register.topic === undefined ? null : new TopicPattern(register.topic)
      const pattern = own ?? (this.#topic.has('k') ? this.#topic : null)
      const name = nameOf(register)
      if (pattern === null) together.push([name, value])
      else this.#add(messages, pattern, { k: name }, JSON.stringify(value))
    }
    if (together.length > 0) {
      this.#add(messages, this.#topic, {}, JSON.stringify(Object.fromEntries(together)))
    }
    return messages
  }

  #add(
    messages: ModbusMessage[],
    pattern: TopicPattern,
    more: Readonly<Record<string, string>>,
    payload: string,
  ): void {
    const letters = { p: this.#port, u: String(this.config.unit), ...more }
    const topic = pattern.fill({ letters, field: () => undefined })
    if (topic === null) return
    messages.push({ topic, payload: Buffer.from(payload) })
    this.counters.messages++
  }
}
