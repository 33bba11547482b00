/** A device of headwater.h that a test drives message by message, and the messages that both sides say. */
import { afterAll, afterEach, beforeAll, describe } from 'vitest'
import { isSkipped } from './compilers.ts'
import { buildDriver, Device, Result } from './device.ts'
import { Flag, frame, message, Type, u16 } from './frames.ts'

/** As headwater.h has them. */
export const RETRY_MS = 500
export const RETRIES = 6
export const CONGESTION_MS = 2000

export const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

export const CONNACK = message(Type.connack, Result.acknowledged)
export const connect = (flags: number, id = 'dev', keepAlive = 0) =>
  message(Type.connect, flags, 1, u16(keepAlive), id)
export const register = (id: number, name: string) => message(Type.register, u16(0), u16(id), name)
export const regack = (topic: number, id: number, result = 0) =>
  message(Type.regack, u16(topic), u16(id), result)
export const publish = (flags: number, topic: number, id: number, payload: string) =>
  message(Type.publish, flags, u16(topic), u16(id), payload)
export const puback = (topic: number, id: number, result = 0) =>
  message(Type.puback, u16(topic), u16(id), result)
export const suback = (topic: number, id: number, result = 0) =>
  message(Type.suback, Flag.qos1, u16(topic), u16(id), result)
/** Tells the device to publish. */
export const pub = (topic: number, text: string, flags: number = Flag.qos1) =>
  `pub ${topic} ${flags} ${hex(Buffer.from(text))}`

export class DeviceBench {
  readonly #devices: Device[] = []
  /** The one that was started last. */
  device!: Device
  framed!: ReturnType<typeof buildDriver>

  readonly started = (path = this.framed.path, options?: { isBare: boolean }): Device => {
    this.device = new Device(path, options)
    this.#devices.push(this.device)
    return this.device
  }

  /** Gives it a message of the gateway. @returns what it says and does */
  readonly hears = (...messages: Buffer[]) =>
    this.device.do(...messages.map((each) => `in ${hex(frame(each))}`))

  readonly connected = async ({ keepAlive = 0 } = {}): Promise<void> => {
    this.started()
    await this.device.do(
      `new dev ${keepAlive}`,
      'topic 0 name t/one',
      'topic 1 id 7',
      'topic 2 short ab',
      'connect',
    )
    await this.hears(CONNACK)
  }

  endAll(): void {
    for (const each of this.#devices.splice(0)) each.end()
  }
}

/** Where there is a compiler. */
export function describeDevice(name: string, define: (bench: DeviceBench) => void): void {
  describe.skipIf(isSkipped('the device library', 'cc'))(name, () => {
    const bench = new DeviceBench()
    beforeAll(() => {
      bench.framed = buildDriver()
    })
    afterAll(() => bench.framed?.remove())
    afterEach(() => bench.endAll())
    define(bench)
  })
}
