/** A broker on a free port, and an MQTT client that sends exactly the packets that a test wants. */
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generate, type Packet, parser } from 'mqtt-packet'
import { afterEach } from 'vitest'
import { Broker } from '../../../broker/broker.ts'
import type { ClockParts } from '../../../broker/clock/clock-watch.ts'
import { defaultConfig } from '../../../broker/config/load.ts'
import type { BrokerConfig } from '../../../broker/config/schema.ts'
import { readRecords } from '../../../broker/log/record-batch.ts'
import type { FileSystemProbe } from '../../../broker/storage/file-system.ts'
import type { Disk } from '../../../broker/storage/store.ts'
import { RecordingSink } from '../log/support.ts'

let brokers: Broker[] = []
let clients: RawClient[] = []
const directories: string[] = []

afterEach(async () => {
  for (const client of clients) client.end()
  const running = brokers
  ;[brokers, clients] = [[], []]
  await Promise.all(running.map((broker) => broker.close()))
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true })
})

export function dataDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'headwater-mqtt-'))
  directories.push(directory)
  return directory
}

export interface StartOptions {
  readonly data?: string
  readonly disk?: Disk
  readonly sink?: RecordingSink
  readonly fileSystemProbe?: FileSystemProbe
  readonly clock?: ClockParts
  readonly change?: (config: BrokerConfig) => void
}

/** Starts a broker that listens on a port of its own; it is closed after the test. */
export async function startBroker(options: StartOptions = {}) {
  const config: BrokerConfig = defaultConfig(options.data ?? dataDirectory())
  config.edge = 'edge-1'
  config.mqtt.listeners = [{ address: '127.0.0.1:0' }]
  options.change?.(config)
  const sink = options.sink ?? new RecordingSink()
  const { disk, fileSystemProbe, clock } = options
  const broker = await Broker.start(config, {
    log: sink,
    ...(disk === undefined ? {} : { disk }),
    ...(fileSystemProbe === undefined ? {} : { fileSystemProbe }),
    ...(clock === undefined ? {} : { clock }),
  })
  brokers.push(broker)
  const address = broker.status().mqtt.listeners[0]!
  return { broker, sink, config, port: Number(address.slice(address.lastIndexOf(':') + 1)) }
}

export interface StoredRecord {
  readonly topic: string
  readonly value: string
}

/** All records of a stream in the order of their partitions; `topic` is the key. */
export async function recordsIn(broker: Broker, stream = 'events'): Promise<StoredRecord[]> {
  const records: StoredRecord[] = []
  for (const state of broker.log.partitions().filter((partition) => partition.stream === stream)) {
    for (let offset = state.logStartOffset; offset < state.durableOffset; ) {
      for (const { bytes, nextOffset } of await broker.log.read(stream, state.partition, offset, 1e9)) {
        for (const { key, value } of readRecords(bytes)) {
          records.push({ topic: String(key), value: String(value) })
        }
        offset = nextOffset
      }
    }
  }
  return records
}

export class RawClient {
  readonly #socket: Socket
  readonly #parser = parser()
  /** What came and was not yet asked for. */
  readonly received: Packet[] = []
  #wake: () => void = () => {}
  isClosed = false

  private constructor(port: number) {
    this.#socket = connect({ host: '127.0.0.1', port, noDelay: true })
    this.#socket.on('data', (chunk) => this.#parser.parse(chunk))
    this.#socket.on('error', () => {})
    this.#socket.on('close', () => {
      this.isClosed = true
      this.#wake()
    })
    this.#parser.on('packet', (packet) => {
      this.received.push(packet)
      this.#wake()
    })
    clients.push(this)
  }

  /** Opens a connection without a word. */
  static open(port: number): RawClient {
    return new RawClient(port)
  }

  /** Connects and waits for the CONNACK. */
  static async connect(
    port: number,
    clientId: string,
    options: { clean?: boolean } = {},
  ): Promise<RawClient> {
    const client = new RawClient(port)
    const { clean = false } = options
    client.send({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clientId, clean, keepalive: 0 })
    await client.next('connack')
    return client
  }

  send(packet: Packet): void {
    this.#socket.write(generate(packet))
  }

  sendBytes(bytes: Uint8Array): void {
    this.#socket.write(bytes)
  }

  publish(
    qos: 0 | 1 | 2,
    messageId: number,
    payload: string,
    more: { dup?: boolean; topic?: string } = {},
  ): void {
    const { dup = false, topic = 't/x' } = more
    this.send({ cmd: 'publish', topic, payload, qos, dup, retain: false, ...(qos > 0 ? { messageId } : {}) })
  }

  pubrel(messageId: number): void {
    this.send({ cmd: 'pubrel', messageId })
  }

  /** The next packet of this kind; the ones before it stay. Rejects when the connection ends first. */
  async next(cmd: Packet['cmd']): Promise<Packet & { messageId?: number }> {
    for (;;) {
      const at = this.received.findIndex((packet) => packet.cmd === cmd)
      if (at >= 0) return this.received.splice(at, 1)[0]!
      if (this.isClosed) throw new Error(`the connection ended before a ${cmd}`)
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  /** Resolves when the other side has ended the connection. */
  async closed(): Promise<void> {
    while (!this.isClosed) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  /** True when all that was sent so far has been handled: a PINGREQ was answered. */
  async handled(): Promise<void> {
    this.send({ cmd: 'pingreq' })
    await this.next('pingresp')
  }

  /** Ends the connection without a DISCONNECT. */
  end(): void {
    this.#socket.destroy()
  }
}
