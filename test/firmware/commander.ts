/** Who publishes commands for the devices: QoS 1, one of a device's after the other, and knows which the broker acknowledged. */
import mqtt, { type MqttClient } from 'mqtt'
import { COMMANDS, commandOf } from './payload.ts'

/** Of a device, on their way: enough that some wait with the broker whenever something is killed. */
const AHEAD_MAX = 20
const LOOK_MS = 5

export interface Commanded {
  readonly name: string
  /** The highest that came. */
  readonly commands: number
  readonly received: readonly unknown[]
}

export class Commander {
  readonly #client: MqttClient
  readonly #devices: readonly Commanded[]
  readonly #sent: Map<string, number>
  readonly #most: number
  #isEnded = false

  /** @param commands for each device */
  constructor(port: number, devices: readonly Commanded[], commands: number) {
    this.#devices = devices
    this.#most = commands
    this.#sent = new Map(devices.map(({ name }) => [name, 0]))
    this.#client = mqtt.connect({
      host: '127.0.0.1',
      port,
      clientId: 'commander',
      clean: false,
      reconnectPeriod: 50,
      connectTimeout: 5000,
    })
    this.#client.on('error', () => {})
  }

  /** 1 to this one were acknowledged. */
  sent(name: string): number {
    return this.#sent.get(name)!
  }

  /** All were acknowledged, and came. */
  get isDone(): boolean {
    return this.#devices.every((device) => device.commands >= this.#most)
  }

  start(): void {
    for (const device of this.#devices) void this.#command(device)
  }

  async end(): Promise<void> {
    this.#isEnded = true
    await this.#client.endAsync(true)
  }

  async #command(device: Commanded): Promise<void> {
    for (let number = 1; number <= this.#most && !this.#isEnded; number++) {
      // the first thing that is heard of commands is that the device is subscribed
      while (!this.#isEnded && (device.received.length === 0 || number - device.commands > AHEAD_MAX)) {
        await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
      }
      if (await this.#publish(COMMANDS + device.name, commandOf(number))) this.#sent.set(device.name, number)
    }
  }

  async #publish(topic: string, payload: Buffer): Promise<boolean> {
    while (!this.#isEnded) {
      try {
        await this.#client.publishAsync(topic, payload, { qos: 1 })
        return true
      } catch {
        // mqtt.js gives back what waits while it connects again
        await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
      }
    }
    return false
  }
}
