/**
 * A bus of Modbus devices, from its port to the broker. Each device is due by its schedule; the bus serves one request at a time, in the
 * order in which devices became due. One that does not answer is asked less and less often, so that it does not hold up the others.
 */
import type { LinkCounters } from '../links/link.ts'
import { count, newLinkCounters } from '../links/link-counters.ts'
import { type SerialHost, SerialLine } from '../links/serial-line.ts'
import type { Outbox } from '../outlet/outbox.ts'
import { portName, stamp } from '../outlet/stamp.ts'
import type { ModbusLinkConfig, RegisterConfig } from './config.ts'
import { ModbusClient, type ReadResult } from './modbus-client.ts'
import { ModbusDevice } from './modbus-device.ts'
import type { PlannedRead } from './read-plan.ts'
import { REQUEST_BYTES } from './rtu-port.ts'

/** Calls back at the times that a cron expression names. @returns the way to end it */
export type StartSchedule = (
  expression: string,
  timezone: string,
  callback: () => void,
) => Promise<() => void>

export interface ModbusHost extends SerialHost {
  readonly isClockTrusted: () => boolean
  readonly startSchedule: StartSchedule
}

const EXCEPTIONS: Readonly<Record<number, string>> = {
  1: 'it does not have this kind of register: check kind',
  2: 'it does not have this address: check address, counted from 0, and kind',
  3: 'it does not take so many at once',
  4: 'it failed',
  6: 'it is busy',
}

export class ModbusLink {
  readonly name: string
  /** `framesSent` are requests, `framesReceived` answers; drops are by why there was none. */
  readonly counters: LinkCounters = newLinkCounters()
  readonly outbox: Outbox
  readonly devices: readonly ModbusDevice[]
  readonly #config: ModbusLinkConfig
  readonly #host: ModbusHost
  readonly #line: SerialLine
  /** In the order in which they became due. */
  readonly #due = new Set<ModbusDevice>()
  readonly #told = new Set<string>()
  #client: ModbusClient | null = null
  #endSchedules: (() => void)[] = []
  #working: Promise<void> | null = null
  #isStopped = false

  /** @param outbox this link's own; it is started and stopped with it */
  constructor(config: ModbusLinkConfig, host: ModbusHost, outbox: Outbox) {
    this.name = `serial ${config.port}`
    this.outbox = outbox
    this.devices = config.devices.map((device) => new ModbusDevice(device, portName(config.port)))
    this.#config = config
    this.#host = host
    this.#line = new SerialLine(config, config.sendBufferBytesMax, host, {
      onOpen: () => this.#told.clear(),
      onData: (chunk) => {
        this.counters.bytesReceived += chunk.length
        this.#client?.receive(chunk)
      },
      onGone: () => {},
    })
  }

  /** What is wrong and the way out; null while all devices answer. */
  get trouble(): string | null {
    const silent = this.devices.filter(({ silences }) => silences > 0).map(({ config }) => config.unit)
    const devices =
      silent.length === 0 ? null : `${this.#config.port}: no answer of unit ${silent.join(', ')}`
    return this.#line.trouble ?? devices ?? this.outbox.trouble
  }

  async start(): Promise<void> {
    this.#client = await ModbusClient.create(this.#line, this.#config.baudRate, this.#host.clock)
    this.outbox.start()
    await this.#line.start()
    for (const device of this.devices) {
      const { schedule } = device.config
      this.#endSchedules.push(
        await this.#host.startSchedule(schedule, this.#config.timezone, () => this.#onDue(device)),
      )
    }
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    for (const end of this.#endSchedules.splice(0)) end()
    this.#due.clear()
    await this.#working
    await this.#line.stop()
    await this.outbox.stop()
  }

  #onDue(device: ModbusDevice): void {
    const isEarly = this.#host.clock.monotonic() < device.askedNotBefore
    if (this.#isStopped || isEarly || this.#due.has(device)) {
      device.counters.skipped++
      return
    }
    this.#due.add(device)
    this.#working ??= this.#work().finally(() => {
      this.#working = null
    })
  }

  async #work(): Promise<void> {
    for (const device of this.#due) {
      await this.#poll(device)
      // it stays due while it is asked: once more would be too much
      this.#due.delete(device)
    }
  }

  async #poll(device: ModbusDevice): Promise<void> {
    const values = new Map<RegisterConfig, unknown>()
    let isSilent = false
    for (const read of device.reads) {
      if (this.#isStopped) return
      // no fault of the device
      if (!this.#line.isOpen) {
        device.counters.skipped++
        return
      }
      const result = await this.#read(device, read)
      if (result.kind === 'read') {
        for (const [register, value] of device.valuesOf(read, result)) values.set(register, value)
      } else if (result.kind === 'port-closed') {
        // unplugged meanwhile: it says nothing of the device
        this.#publish(device, values)
        return
      } else if (result.kind !== 'exception') {
        isSilent = true
        break
      }
    }
    if (isSilent) device.backOff(this.#host.clock.monotonic(), this.#host.random())
    else this.#onAnswered(device)
    this.#publish(device, values)
  }

  async #read(device: ModbusDevice, read: PlannedRead): Promise<ReadResult> {
    const { unit, timeoutMs } = device.config
    const { clock } = this.#host
    this.counters.framesSent++
    this.counters.bytesSent += REQUEST_BYTES
    const result = await this.#client!.read(unit, read, timeoutMs)
    if (result.kind === 'read') {
      this.counters.framesReceived++
      device.onAnswer(result.tookMs, clock.now())
      return result
    }
    const reason = result.kind === 'exception' ? `exception ${result.code}` : result.kind
    count(this.counters, reason)
    device.onFailure(reason)
    if (result.kind !== 'port-closed') this.#tell(device, read, result)
    return result
  }

  /** Once for each device and reason, until it answers again or the port is opened anew. */
  #tell(device: ModbusDevice, read: PlannedRead, result: ReadResult): void {
    const { unit, timeoutMs } = device.config
    const about =
      result.kind === 'exception' ? `${unit} ${read.kind} ${read.address} ${result.code}` : `${unit}`
    if (this.#told.has(about)) return
    this.#told.add(about)
    const place = `serial port ${this.#config.port}: Modbus unit ${unit}`
    if (result.kind === 'exception') {
      const why = EXCEPTIONS[result.code] ?? 'see its manual'
      this.#host.log.warn(
        `${place} refuses ${read.count} ${read.kind} from ${read.address} (exception ${result.code}): ${why}`,
      )
    } else if (result.kind === 'garbled') {
      this.#host.log.warn(
        `${place} answers what cannot be read: check baudRate, parity and stopBits, and the bus' ends`,
      )
    } else {
      this.#host.log.warn(
        `${place} does not answer within ${timeoutMs} ms: check its power, its unit number, wires A and B, baudRate and parity`,
      )
    }
  }

  #onAnswered(device: ModbusDevice): void {
    if (device.silences === 0) return
    const { unit } = device.config
    this.#host.log.info(
      `serial port ${this.#config.port}: Modbus unit ${unit} answers again after ${device.silences} tries`,
    )
    this.#told.delete(`${unit}`)
    device.silences = 0
  }

  #publish(device: ModbusDevice, values: ReadonlyMap<RegisterConfig, unknown>): void {
    const properties = stamp(this.#host, this.name, `${portName(this.#config.port)}/${device.config.unit}`)
    for (const { topic, payload } of device.messagesOf(values)) this.outbox.offer(topic, payload, properties)
  }
}
