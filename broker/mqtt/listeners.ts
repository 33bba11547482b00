/** TCP listeners: connections come from here. */
import { createServer, type Server, type Socket } from 'node:net'
import { formatListenAddress, type ListenAddress } from '../config/address.ts'
import { ListenError } from '../errors.ts'
import type { LogSink } from '../log-sink.ts'
import type { PeerInfo } from './connection/access.ts'

const LISTEN_REASONS: Record<string, [string, string]> = {
  EADDRINUSE: ['the port is in use', 'stop what uses it (`ss -ltnp`), or set another mqtt.listeners address'],
  EACCES: ['this user may not use the port', 'use a port above 1023'],
  EADDRNOTAVAIL: ['this machine does not have the address', 'use one that `ip address` shows'],
  ENOTFOUND: ['the host name is unknown', 'use an IP address'],
}

/** TCP asks whether the other side is still there once it was silent for so long: a client may do without MQTT's keep alive. */
const TCP_KEEP_ALIVE_MS = 60_000

export class Listeners {
  readonly #addresses: readonly ListenAddress[]
  readonly #onConnection: (stream: Socket, peer: PeerInfo) => void
  readonly #log: LogSink
  readonly #servers: Server[] = []

  constructor(
    addresses: readonly ListenAddress[],
    onConnection: (stream: Socket, peer: PeerInfo) => void,
    log: LogSink,
  ) {
    this.#addresses = addresses
    this.#onConnection = onConnection
    this.#log = log
  }

  /** @throws ListenError: then none is left open */
  async listen(): Promise<void> {
    try {
      for (const address of this.#addresses) this.#servers.push(await this.#listenOn(address))
    } catch (error) {
      await this.close()
      throw error
    }
  }

  addresses(): string[] {
    return this.#servers.map((server) => {
      const address = server.address()
      if (address === null || typeof address === 'string') return String(address)
      return address.family === 'IPv6'
        ? `[${address.address}]:${address.port}`
        : `${address.address}:${address.port}`
    })
  }

  /** No more connections; resolves once those there are have ended. */
  async close(): Promise<void> {
    await Promise.all(
      this.#servers.splice(0).map((server) => new Promise((resolve) => server.close(resolve))),
    )
  }

  #listenOn(address: ListenAddress): Promise<Server> {
    const { host, port } = address
    // noDelay: an acknowledgement does not wait for the next packet
    const server = createServer(
      { noDelay: true, keepAlive: true, keepAliveInitialDelay: TCP_KEEP_ALIVE_MS },
      (socket) => {
        const { remoteAddress = '', remotePort = 0 } = socket
        this.#onConnection(socket, { address: remoteAddress, port: remotePort, identity: null })
      },
    )
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
}
