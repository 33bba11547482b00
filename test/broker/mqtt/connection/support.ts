/** A front without listeners on a disk in memory, whose time a test moves, and clients that send exactly the packets that a test wants. */
import { Duplex } from 'node:stream'
import {
  generate,
  type IConnackPacket,
  type IDisconnectPacket,
  type IPublishPacket,
  type Packet,
  parser,
} from 'mqtt-packet'
import { afterEach } from 'vitest'
import type { EventLog } from '../../../../broker/log/event-log.ts'
import { readRecords } from '../../../../broker/log/record-batch.ts'
import type { Access, Quotas } from '../../../../broker/mqtt/connection/access.ts'
import type { ConnectionLimits } from '../../../../broker/mqtt/connection/limits.ts'
import { TICKS_PER_SECOND, TimerWheel } from '../../../../broker/mqtt/connection/timer-wheel.ts'
import type { Front } from '../../../../broker/mqtt/front.ts'
import { Ingress } from '../../../../broker/mqtt/ingress.ts'
import { openFront } from '../../../../broker/mqtt/open-front.ts'
import { Qos2Ids } from '../../../../broker/mqtt/qos2.ts'
import { messageOf } from '../../../../broker/mqtt/record-headers.ts'
import { Router } from '../../../../broker/mqtt/router.ts'
import type { SessionLimits } from '../../../../broker/mqtt/session/limits.ts'
import { SourcePositions } from '../../../../broker/mqtt/source-positions.ts'
import { FaultyDisk } from '../../../support/faulty-disk.ts'
import { MemoryDisk } from '../../../support/memory-disk.ts'
import { streamConfig } from '../../../support/stream-config.ts'
import { type LogOptions, MEMORY_PATH, openLog, RecordingSink } from '../../log/support.ts'

const fronts = new Set<Front>()
afterEach(async () => {
  for (const front of fronts) await front.close()
  fronts.clear()
})

export interface FrontTestOptions {
  readonly disk?: FaultyDisk
  readonly limits?: Partial<ConnectionLimits>
  readonly admittedBytesMax?: number
  readonly recordBytesMax?: number
  readonly fullWaitMs?: number
  readonly access?: Access
  readonly quotas?: Quotas
  readonly connectionsMax?: number
  readonly sessionLimits?: Partial<SessionLimits>
  readonly log?: LogOptions
}

export interface FrontTest {
  readonly front: Front
  readonly log: EventLog
  readonly ingress: Ingress
  readonly disk: FaultyDisk
  readonly sink: RecordingSink
  /** ms since 1970 as the broker sees them. */
  readonly time: { now: number }
  /** Time passes for connections. */
  seconds(count: number): void
  /** @param address where it comes from */
  open(version?: 3 | 4 | 5, address?: string): TestClient
  connect(options?: ConnectOptions): Promise<TestClient>
  /** Values of a stream in the order of its one partition. */
  values(stream?: string): Promise<string[]>
  close(): Promise<void>
}

/** `a/#` goes to the stream `events`; other topics to none. */
export async function startFront(options: FrontTestOptions = {}): Promise<FrontTest> {
  const disk = options.disk ?? new FaultyDisk(new MemoryDisk())
  const ids = new Qos2Ids()
  const sources = new SourcePositions()
  const sink = new RecordingSink()
  const log = await openLog(disk, {
    streams: [{ name: 'events', partitions: 1 }],
    admittedBytesMax: options.admittedBytesMax ?? 1e9,
    states: [ids, sources],
    sink,
    ...options.log,
  })
  const time = { now: 1_700_000_000_000 }
  const router = new Router([streamConfig({ name: 'events', topics: ['a/#'], partitions: 1 })], (name) =>
    log.stream(name),
  )
  const { recordBytesMax = 1e6, fullWaitMs = 10_000 } = options
  const ingressOptions = { recordBytesMax, fullWaitMs, now: () => time.now }
  const ingress = new Ingress(log, router, () => ({ qos2: ids, sources }), ingressOptions)
  const wheel = new TimerWheel()
  const clock = { now: () => time.now, trustedNow: () => time.now, monotonic: () => time.now }
  const { access, quotas } = options
  const world = {
    disk,
    data: MEMORY_PATH,
    log,
    ingress,
    router,
    sink,
    clock,
    wheel,
    ...(access === undefined ? {} : { access }),
    ...(quotas === undefined ? {} : { quotas }),
  }
  const front = await openFront(world, {
    listeners: [],
    connectionsMax: options.connectionsMax ?? 100,
    ...(options.limits === undefined ? {} : { limits: options.limits }),
    ...(options.sessionLimits === undefined ? {} : { sessionLimits: options.sessionLimits }),
  })
  wheel.stop()
  fronts.add(front)
  const open = (version: 3 | 4 | 5 = 5, address = '192.0.2.1') => {
    const [ours, theirs] = socketPair()
    front.accept(theirs, { address, port: 1000, identity: null })
    return new TestClient(ours, version)
  }
  return {
    front,
    log,
    ingress,
    disk,
    sink,
    time,
    open,
    seconds(count) {
      for (let i = 0; i < count * TICKS_PER_SECOND; i++) wheel.tick()
    },
    async connect(connectOptions = {}) {
      const client = open(connectOptions.version)
      await client.connect(connectOptions)
      return client
    },
    async values(stream = 'events') {
      const values: string[] = []
      const { durableOffset } = log.stream(stream).partitions[0]!
      for (let offset = 0; offset < durableOffset; ) {
        for (const { bytes, nextOffset } of await log.read(stream, 0, offset, 1e9)) {
          for (const { value } of readRecords(bytes)) values.push(String(value))
          offset = nextOffset
        }
      }
      return values
    },
    async close() {
      fronts.delete(front)
      await front.close()
      await log.close()
    },
  }
}

/** Two ends of a connection: bytes are copied, as by a kernel, and the end of one is the end of the other. */
function socketPair(): [Duplex, Duplex] {
  const ends: Duplex[] = []
  const waiting: ((() => void) | null)[] = [null, null]
  for (const [own, other] of [
    [0, 1],
    [1, 0],
  ] as const) {
    ends[own] = new Duplex({
      write(chunk: Buffer, _encoding, done) {
        if (ends[other]!.push(Buffer.from(chunk))) done()
        else waiting[other] = done
      },
      final(done) {
        ends[other]!.push(null)
        done()
      },
      read() {
        const done = waiting[own]
        waiting[own] = null
        done?.()
      },
      destroy(error, done) {
        setImmediate(() => ends[other]!.destroy())
        done(error)
      },
    })
  }
  return [ends[0]!, ends[1]!]
}

export interface ConnectOptions {
  readonly version?: 3 | 4 | 5
  readonly clientId?: string
  readonly clean?: boolean
  readonly keepalive?: number
  readonly properties?: Record<string, unknown>
  readonly will?: Record<string, unknown>
  readonly username?: string
  readonly password?: Buffer
}

export class TestClient {
  readonly stream: Duplex
  readonly version: 3 | 4 | 5
  readonly received: Packet[] = []
  readonly #parser: ReturnType<typeof parser>
  #wake: () => void = () => {}
  isClosed = false

  constructor(stream: Duplex, version: 3 | 4 | 5) {
    this.stream = stream
    this.version = version
    this.#parser = parser({ protocolVersion: version })
    stream.on('data', (chunk: Buffer) => this.#parser.parse(chunk))
    stream.on('error', () => {})
    const closed = () => {
      this.isClosed = true
      stream.destroy()
      this.#wake()
    }
    stream.on('end', closed)
    stream.on('close', closed)
    this.#parser.on('packet', (packet) => {
      this.received.push(packet)
      this.#wake()
    })
  }

  async connect(options: ConnectOptions = {}): Promise<IConnackPacket> {
    const { clientId = 'c1', clean = true, keepalive = 0, properties, will, username, password } = options
    const protocolId = this.version === 3 ? 'MQIsdp' : 'MQTT'
    this.send({
      cmd: 'connect',
      protocolId,
      protocolVersion: this.version,
      clientId,
      clean,
      keepalive,
      ...(properties === undefined ? {} : { properties }),
      ...(will === undefined ? {} : { will }),
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
    } as Packet)
    return (await this.next('connack')) as IConnackPacket
  }

  send(packet: Packet): void {
    this.stream.write(generate(packet, { protocolVersion: this.version }))
  }

  sendBytes(bytes: Uint8Array): void {
    this.stream.write(bytes)
  }

  publish(
    qos: 0 | 1 | 2,
    messageId: number,
    payload: string | Buffer,
    more: Partial<IPublishPacket> = {},
  ): void {
    const id = qos > 0 ? { messageId } : {}
    this.send({ cmd: 'publish', topic: 'a/b', payload, qos, dup: false, retain: false, ...id, ...more })
  }

  async subscribe(topic: string, qos: 0 | 1 | 2 = 0): Promise<void> {
    this.send({ cmd: 'subscribe', messageId: 60_000, subscriptions: [{ topic, qos }] })
    await this.next('suback')
  }

  /** The next packet of this kind; the ones before it stay. Rejects when the connection ends first. */
  async next<T extends Packet = Packet & { messageId?: number; reasonCode?: number }>(
    cmd: Packet['cmd'],
  ): Promise<T> {
    for (;;) {
      const at = this.received.findIndex((packet) => packet.cmd === cmd)
      if (at >= 0) return this.received.splice(at, 1)[0] as T
      if (this.isClosed) throw new Error(`the connection ended before a ${cmd}`)
      await this.#woken()
    }
  }

  async closed(): Promise<void> {
    while (!this.isClosed) await this.#woken()
  }

  /** Its DISCONNECT, after which the connection has ended. */
  async disconnected(): Promise<number | undefined> {
    const packet = await this.next<IDisconnectPacket>('disconnect')
    await this.closed()
    return packet.reasonCode
  }

  /** What comes is not looked at: it may be the answer to anything. */
  ignorePackets(): void {
    this.stream.removeAllListeners('data')
    this.stream.resume()
  }

  /** All that was sent so far has been handled: a PINGREQ was answered. */
  async handled(): Promise<void> {
    this.send({ cmd: 'pingreq' })
    await this.next('pingresp')
  }

  #woken(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }
}

/** Packet ids of so many PUBACKs. */
export async function acknowledged(client: TestClient, count: number): Promise<(number | undefined)[]> {
  const ids: (number | undefined)[] = []
  while (ids.length < count) ids.push((await client.next('puback')).messageId)
  return ids
}

/** The messages of the stream's records, as replay makes them again. */
export async function storedMessages({ log }: FrontTest) {
  const [partition] = log.stream('events').partitions
  const batches = await log.read('events', 0, 0, 1e9)
  return batches.flatMap(({ bytes }) =>
    [...readRecords(bytes)].map((record) =>
      messageOf(record, { partition: partition!, offset: record.offset }),
    ),
  )
}
