/**
 * What the broker tells of itself on `$SYS/broker/...`, in the names of mosquitto where they have a meaning here. Retained in memory, never on disk, and
 * sent with QoS 0: only what has changed.
 */
import { LOAD_MINUTES, Load } from './load.ts'

/** Counts are since the start. */
export interface SysStatus {
  readonly version: string
  readonly uptimeSeconds: number
  readonly clientsConnected: number
  /** Sessions, with a connection or without. */
  readonly clientsTotal: number
  /** CONNECTs that were accepted. */
  readonly connects: number
  /** Packets of every kind. */
  readonly messagesReceived: number
  readonly messagesSent: number
  readonly publishReceived: number
  readonly publishSent: number
  /** To clients that were too slow, or whose queue was full. */
  readonly publishDropped: number
  /** Of whole packets. */
  readonly bytesReceived: number
  readonly bytesSent: number
  /** Payloads alone. */
  readonly publishBytesReceived: number
  readonly subscriptions: number
  readonly retainedMessages: number
  readonly storedMessages: number
  readonly storedBytes: number
  readonly heapBytes: number
}

export interface SysTopicsOptions {
  read(): SysStatus
  publish(topic: string, payload: Buffer): void
  /** Monotonic, ms. */
  readonly now?: () => number
}

const ROOT = '$SYS/broker'
/** `load/NAME/1min` and so on, of these counts. */
const LOADS: readonly [name: string, of: (status: SysStatus) => number][] = [
  ['messages/received', (status) => status.messagesReceived],
  ['messages/sent', (status) => status.messagesSent],
  ['publish/received', (status) => status.publishReceived],
  ['publish/sent', (status) => status.publishSent],
  ['publish/dropped', (status) => status.publishDropped],
  ['bytes/received', (status) => status.bytesReceived],
  ['bytes/sent', (status) => status.bytesSent],
  ['connections', (status) => status.connects],
]

export class SysTopics {
  readonly #options: SysTopicsOptions
  readonly #now: () => number
  readonly #published = new Map<string, string>()
  readonly #loads: readonly Load[]
  #at: number
  #clientsMaximum = 0
  #timer: NodeJS.Timeout | undefined
  #seconds = 0

  constructor(options: SysTopicsOptions) {
    this.#options = options
    this.#now = options.now ?? (() => performance.now())
    const status = options.read()
    this.#loads = LOADS.map(([, of]) => new Load(of(status)))
    this.#at = this.#now()
  }

  /** @param seconds between two times; 0: never */
  every(seconds: number): void {
    if (seconds === this.#seconds) return
    clearInterval(this.#timer)
    this.#timer = undefined
    this.#seconds = seconds
    if (seconds === 0) return
    this.publish()
    this.#timer = setInterval(() => this.publish(), seconds * 1000)
    this.#timer.unref()
  }

  close(): void {
    clearInterval(this.#timer)
  }

  /** What has changed since the last time. */
  publish(): void {
    const status = this.#options.read()
    const now = this.#now()
    const seconds = (now - this.#at) / 1000
    this.#at = now
    this.#clientsMaximum = Math.max(this.#clientsMaximum, status.clientsConnected)
    for (const [name, value] of Object.entries(this.#values(status))) this.#tell(name, String(value))
    for (const [index, [name, of]] of LOADS.entries()) {
      const averages = this.#loads[index]!.next(of(status), seconds)
      for (const [at, minutes] of LOAD_MINUTES.entries())
        this.#tell(`load/${name}/${minutes}min`, averages[at]!.toFixed(2))
    }
  }

  #values(status: SysStatus): Record<string, string | number> {
    return {
      version: status.version,
      uptime: `${Math.floor(status.uptimeSeconds)} seconds`,
      'clients/connected': status.clientsConnected,
      'clients/active': status.clientsConnected,
      'clients/disconnected': status.clientsTotal - status.clientsConnected,
      'clients/inactive': status.clientsTotal - status.clientsConnected,
      'clients/total': status.clientsTotal,
      'clients/maximum': this.#clientsMaximum,
      'messages/received': status.messagesReceived,
      'messages/sent': status.messagesSent,
      'publish/messages/received': status.publishReceived,
      'publish/messages/sent': status.publishSent,
      'publish/messages/dropped': status.publishDropped,
      'publish/bytes/received': status.publishBytesReceived,
      'bytes/received': status.bytesReceived,
      'bytes/sent': status.bytesSent,
      'subscriptions/count': status.subscriptions,
      'retained messages/count': status.retainedMessages,
      'messages/stored': status.storedMessages,
      'store/messages/count': status.storedMessages,
      'store/messages/bytes': status.storedBytes,
      'heap/current': status.heapBytes,
    }
  }

  #tell(name: string, text: string): void {
    if (this.#published.get(name) === text) return
    this.#published.set(name, text)
    this.#options.publish(`${ROOT}/${name}`, Buffer.from(text))
  }
}
