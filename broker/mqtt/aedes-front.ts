/**
 * MQTT 3.1 and 3.1.1 by aedes. The append stands in `authorizePublish`, whose callback releases PUBACK and PUBREC; aedes'
 * own `published` comes after the PUBACK and would be too late. PUBREL is caught where aedes looks the packet up, before
 * it writes PUBCOMP.
 */
import { createServer, type Server, type Socket } from 'node:net'
import { Aedes, type Client, type PublishPacket } from 'aedes'
import { assert } from '../assert.ts'
import { formatListenAddress, type ListenAddress } from '../config/address.ts'
import { errorLine, HeadwaterError, ListenError } from '../errors.ts'
import { LimitedLog } from '../limited-log.ts'
import type { LogSink } from '../log-sink.ts'
import type { FrontStatus, MqttFront } from './front.ts'
import type { Ingress } from './ingress.ts'
import { type Delivery, type ForwardingBroker, type OwnMessage, OwnMessages } from './own-messages.ts'

export interface AedesFrontOptions {
  readonly listeners: readonly ListenAddress[]
  readonly connectionsMax: number
}

/** aedes' persistence as far as PUBREL needs it; its types leave it open. */
interface IncomingStore {
  incomingGetPacket(client: Client, packet: { cmd?: string; messageId?: number }): Promise<unknown>
}

const LISTEN_REASONS: Record<string, [string, string]> = {
  EADDRINUSE: ['the port is in use', 'stop what uses it (`ss -ltnp`), or set another mqtt.listeners address'],
  EACCES: ['this user may not use the port', 'use a port above 1023'],
  EADDRNOTAVAIL: ['this machine does not have the address', 'use one that `ip address` shows'],
  ENOTFOUND: ['the host name is unknown', 'use an IP address'],
}

export class AedesFront implements MqttFront {
  readonly #ingress: Ingress
  readonly #options: AedesFrontOptions
  readonly #log: LogSink
  readonly #limited: LimitedLog
  readonly #broker: Aedes
  #own: OwnMessages | undefined
  readonly #servers: Server[] = []
  readonly #sockets = new Set<Socket>()
  readonly #counters = { connected: 0, refused: 0, dropped: 0 }

  constructor(ingress: Ingress, options: AedesFrontOptions, log: LogSink) {
    this.#ingress = ingress
    this.#options = options
    this.#log = log
    this.#limited = new LimitedLog(log)
    this.#broker = new Aedes({
      authorizePublish: (client, packet, done) => this.#authorizePublish(client, packet, done),
    })
  }

  async listen(): Promise<void> {
    await this.#broker.listen()
    this.#holdPubcomp()
    this.#own = new OwnMessages(this.#broker as unknown as ForwardingBroker)
    this.#broker.on('client', (client) => {
      this.#counters.connected++
      if (client.clean) this.#ingress.sessionCleaned(client.id)
    })
    this.#broker.on('clientError', (client, error) => this.#dropped(client.id, error))
    this.#broker.on('connectionError', (_client, error) => this.#dropped(null, error))
    try {
      for (const address of this.#options.listeners) this.#servers.push(await this.#listenOn(address))
    } catch (error) {
      await this.close()
      throw error
    }
  }

  publish(message: OwnMessage): Promise<Delivery> {
    assert(this.#own !== undefined, 'a front publishes once it listens')
    return this.#own.publish(message)
  }

  hasSubscriber(topic: string): Promise<boolean> {
    assert(this.#own !== undefined, 'a front has subscribers once it listens')
    return this.#own.hasSubscriber(topic)
  }

  status(): FrontStatus {
    const listeners = this.#servers.map((server) => {
      const address = server.address()
      if (address === null || typeof address === 'string') return String(address)
      return address.family === 'IPv6'
        ? `[${address.address}]:${address.port}`
        : `${address.address}:${address.port}`
    })
    return { listeners, clients: this.#broker.connectedClients, ...this.#counters }
  }

  async close(): Promise<void> {
    this.#own?.close()
    const closed = this.#servers.splice(0).map((server) => new Promise((resolve) => server.close(resolve)))
    await new Promise<void>((resolve) => this.#broker.close(() => resolve()))
    for (const socket of this.#sockets) socket.destroy()
    await Promise.all(closed)
  }

  #listenOn(address: ListenAddress): Promise<Server> {
    const { host, port } = address
    // noDelay: an acknowledgement does not wait for the next packet
    const server = createServer({ noDelay: true }, (socket) => this.#accept(socket))
    return new Promise((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) => {
        const [reason, hint] = LISTEN_REASONS[error.code ?? ''] ?? [error.message, 'check mqtt.listeners']
        reject(new ListenError(formatListenAddress(address), reason, hint, error))
      })
      server.listen(host === null ? { port } : { host, port }, () => {
        server.removeAllListeners('error')
        server.on('error', (error) => this.#log.error('a listener failed', { reason: error.message }))
        resolve(server)
      })
    })
  }

  #accept(socket: Socket): void {
    if (this.#sockets.size >= this.#options.connectionsMax) {
      this.#counters.refused++
      this.#limited.warn('connectionsMax', 'refused a connection: limits.connectionsMax is reached', {
        from: socket.remoteAddress,
        connectionsMax: this.#options.connectionsMax,
      })
      socket.destroy()
      return
    }
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    this.#broker.handle(socket)
  }

  #authorizePublish(
    client: Client | null,
    packet: PublishPacket,
    done: (error?: Error | null) => void,
  ): void {
    if (packet.topic.startsWith('$SYS/')) {
      done(new Error('topics below $SYS/ are the broker’s own'))
      return
    }
    const payload = typeof packet.payload === 'string' ? Buffer.from(packet.payload) : packet.payload
    this.#ingress.accept(
      {
        clientId: client?.id ?? null,
        topic: packet.topic,
        payload,
        qos: packet.qos as 0 | 1 | 2,
        packetId: packet.messageId ?? 0,
        isDup: packet.dup,
      },
      done,
    )
  }

  /** The release of a QoS 2 id is on disk before PUBCOMP; when it cannot be, the connection ends without one. */
  #holdPubcomp(): void {
    const store = (this.#broker as unknown as { persistence: IncomingStore }).persistence
    const get = store.incomingGetPacket.bind(store)
    store.incomingGetPacket = async (client, packet) => {
      if (packet.cmd === 'pubrel' && packet.messageId !== undefined)
        await this.#release(client, packet.messageId)
      return get(client, packet)
    }
  }

  #release(client: Client, packetId: number): Promise<void> {
    return new Promise((resolve) => {
      this.#ingress.release(client.id, packetId, (error) => {
        if (error === null) resolve()
        else client.conn.destroy(error)
      })
    })
  }

  #dropped(clientId: string | null, error: Error): void {
    this.#counters.dropped++
    const kind = error instanceof HeadwaterError ? error.code : error.message
    this.#limited.warn(kind, 'dropped a connection', {
      client: clientId ?? '(not connected yet)',
      reason: errorLine(error),
    })
  }
}
