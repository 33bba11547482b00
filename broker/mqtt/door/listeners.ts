/**
 * The addresses that clients connect to: TCP, TLS, WebSocket and secure WebSocket, each as configured. What comes out is a stream of MQTT bytes and
 * who stands at its other end.
 *
 * Certificates are read again when their files change: connections that are open go on with the old ones. WebSocket is the package `ws` (the
 * one that mqtt.js uses, no packages of its own, no native code); MQTT packets and WebSocket frames need not coincide [MQTT-6.0.0-2].
 */
import { createServer as createHttpServer, type Server as HttpServer, type IncomingMessage } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { createServer, type Server, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import {
  createSecureContext,
  createServer as createTlsServer,
  type SecureContextOptions,
  type TLSSocket,
  type Server as TlsServer,
} from 'node:tls'
import { createWebSocketStream, type WebSocket, WebSocketServer } from 'ws'
import { formatListenAddress, type ListenAddress } from '../../config/address.ts'
import { ListenError } from '../../errors.ts'
import { LimitedLog } from '../../limited-log.ts'
import type { LogSink } from '../../log-sink.ts'
import type { Disk } from '../../storage/store.ts'
import type { PeerInfo } from '../connection/access.ts'

export interface TlsFiles {
  readonly certFile: string
  readonly keyFile: string
  /** Authorities that clients' certificates are taken from; null: clients are not asked for one. */
  readonly clientCaFile: string | null
  /** A client without a certificate is refused; else it may log in by name. */
  readonly requiresClientCertificate: boolean
}

export interface ListenerOptions {
  readonly address: ListenAddress
  readonly tls: TlsFiles | null
  /** The path of its URL; null: plain MQTT. */
  readonly webSocketPath: string | null
}

export type OnConnection = (stream: Duplex, peer: PeerInfo) => void

/** How often certificate files are looked at. */
const CHECK_MS = 30_000
const HANDSHAKE_MS_MAX = 10_000
const MQTT_PROTOCOLS = ['mqtt', 'mqttv3.1']

const LISTEN_REASONS: Record<string, [string, string]> = {
  EADDRINUSE: ['the port is in use', 'stop what uses it (`ss -ltnp`), or set another mqtt.listeners address'],
  EACCES: ['this user may not use the port', 'use a port above 1023'],
  EADDRNOTAVAIL: ['this machine does not have the address', 'use one that `ip address` shows'],
  ENOTFOUND: ['the host name is unknown', 'use an IP address'],
}

interface Certificates {
  readonly options: SecureContextOptions
  readonly fingerprint: string
}

export class Listener {
  readonly #options: ListenerOptions
  readonly #disk: Disk
  readonly #log: LogSink
  readonly #limited: LimitedLog
  readonly #onConnection: OnConnection
  readonly #frameBytesMax: number
  #server: Server | TlsServer | HttpServer | undefined
  #webSockets: WebSocketServer | undefined
  #fingerprint = ''
  #timer: NodeJS.Timeout | undefined

  /** @param frameBytesMax of one WebSocket message */
  constructor(
    options: ListenerOptions,
    disk: Disk,
    log: LogSink,
    onConnection: OnConnection,
    frameBytesMax: number,
  ) {
    this.#options = options
    this.#disk = disk
    this.#log = log
    this.#limited = new LimitedLog(log)
    this.#onConnection = onConnection
    this.#frameBytesMax = frameBytesMax
  }

  /** As it is bound, with its scheme: `mqtts://127.0.0.1:8883`. */
  get bound(): string {
    const { tls, webSocketPath } = this.#options
    const address = this.#server?.address() ?? null
    const host =
      address === null || typeof address === 'string'
        ? String(address)
        : formatListenAddress({ host: address.address, port: address.port })
    if (webSocketPath !== null) return `${tls === null ? 'ws' : 'wss'}://${host}${webSocketPath}`
    return tls === null ? host : `mqtts://${host}`
  }

  /** @throws ListenError */
  async listen(): Promise<void> {
    const { tls, address } = this.#options
    const certificates = tls === null ? null : await this.#certificates(tls)
    const server = this.#createServer(certificates)
    this.#server = server
    await this.#bind(server, address)
    if (certificates === null) return
    this.#fingerprint = certificates.fingerprint
    this.#timer = setInterval(() => void this.renew(), CHECK_MS)
    this.#timer.unref()
  }

  /** Takes new certificates where the files changed; what cannot be read is told, and the old ones stay. */
  async renew(): Promise<void> {
    const { tls } = this.#options
    if (tls === null || this.#server === undefined) return
    try {
      const { options, fingerprint } = await this.#certificates(tls)
      if (fingerprint === this.#fingerprint) return
      ;(this.#server as TlsServer).setSecureContext(options)
      this.#fingerprint = fingerprint
      this.#log.info('a listener has new certificates', { listener: this.bound })
    } catch (error) {
      this.#log.warn('a listener keeps its old certificates', {
        listener: this.bound,
        reason: (error as Error).message,
      })
    }
  }

  /** Takes no more connections; those there are stay. */
  close(): Promise<void> {
    clearInterval(this.#timer)
    const server = this.#server
    if (server === undefined) return Promise.resolve()
    this.#webSockets?.close()
    return new Promise((resolve) => server.close(() => resolve()))
  }

  #createServer(certificates: Certificates | null): Server | TlsServer | HttpServer {
    const { tls, webSocketPath } = this.#options
    // noDelay: an acknowledgement does not wait for the next packet
    const options = {
      noDelay: true,
      ...certificates?.options,
      requestCert: tls !== null && tls.clientCaFile !== null,
      rejectUnauthorized: tls !== null && tls.clientCaFile !== null && tls.requiresClientCertificate,
      handshakeTimeout: HANDSHAKE_MS_MAX,
    }
    if (webSocketPath !== null) {
      const server = certificates === null ? createHttpServer(options) : createHttpsServer(options)
      this.#upgrade(server, webSocketPath)
      return this.#quiet(server)
    }
    const take = (socket: Socket) => this.#onConnection(socket, peerOf(socket))
    if (certificates === null) return createServer(options, take)
    return this.#quiet(createTlsServer(options, take))
  }

  /** What a client does wrong before it is connected ends its connection, and nothing else. */
  #quiet<S extends TlsServer | HttpServer>(server: S): S {
    server.on('tlsClientError', (error: Error, socket: TLSSocket) => {
      this.#limited.warn(error.message, 'a TLS handshake failed', {
        from: socket.remoteAddress,
        reason: error.message,
      })
      socket.destroy()
    })
    server.on('clientError', (_error: Error, socket: Duplex) => socket.destroy())
    return server
  }

  #upgrade(server: HttpServer, path: string): void {
    const webSockets = new WebSocketServer({
      noServer: true,
      maxPayload: this.#frameBytesMax,
      perMessageDeflate: false,
      handleProtocols: (offered) => MQTT_PROTOCOLS.find((name) => offered.has(name)) ?? false,
    })
    this.#webSockets = webSockets
    server.headersTimeout = HANDSHAKE_MS_MAX
    server.requestTimeout = HANDSHAKE_MS_MAX
    server.on('request', (_request, response) => {
      response.writeHead(426, { connection: 'close', upgrade: 'websocket' })
      response.end('this is an MQTT broker: connect with WebSocket\n')
    })
    server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
      // the client must offer the subprotocol "mqtt" [MQTT-6.0.0-3]
      const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim())
      const isMqtt = MQTT_PROTOCOLS.some((name) => offered.includes(name))
      const isHere = new URL(request.url ?? '/', 'http://mqtt').pathname === path
      socket.on('error', () => socket.destroy())
      if (!isMqtt || !isHere) {
        socket.end(`HTTP/1.1 ${isHere ? '400 Bad Request' : '404 Not Found'}\r\nConnection: close\r\n\r\n`)
        return
      }
      webSockets.handleUpgrade(request, socket, head, (webSocket) => this.#take(webSocket, socket))
    })
  }

  #take(webSocket: WebSocket, socket: Socket): void {
    // only binary frames carry MQTT [MQTT-6.0.0-1]
    webSocket.on('message', (_data, isBinary) => {
      if (!isBinary) webSocket.close(1003)
    })
    const stream = createWebSocketStream(webSocket)
    this.#onConnection(stream, peerOf(socket))
  }

  async #bind(server: Server | TlsServer | HttpServer, address: ListenAddress): Promise<void> {
    const { host, port } = address
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) => {
        const [reason, hint] = LISTEN_REASONS[error.code ?? ''] ?? [error.message, 'check mqtt.listeners']
        reject(new ListenError(formatListenAddress(address), reason, hint, error))
      })
      server.listen(host === null ? { port } : { host, port }, resolve)
    })
    server.removeAllListeners('error')
    server.on('error', (error: Error) => this.#log.error('a listener failed', { reason: error.message }))
  }

  /** @throws ListenError */
  async #certificates({ certFile, keyFile, clientCaFile }: TlsFiles): Promise<Certificates> {
    const where = formatListenAddress(this.#options.address)
    const read = async (file: string, what: string): Promise<Buffer> => {
      const bytes = await this.#disk.readFile(file).catch((error) => {
        throw new ListenError(
          where,
          `${what} ${file} cannot be read: ${error.code}`,
          'give this user the file',
        )
      })
      if (bytes === undefined)
        throw new ListenError(
          where,
          `${what} ${file} is not there`,
          'put it there, or correct mqtt.listeners',
        )
      return bytes
    }
    const cert = await read(certFile, 'the certificate')
    const key = await read(keyFile, 'the key')
    const ca = clientCaFile === null ? undefined : await read(clientCaFile, "the clients' authority")
    const options = { cert, key, ...(ca === undefined ? {} : { ca }) }
    try {
      createSecureContext(options)
    } catch (error) {
      const hint = 'the key must be that of the certificate, both as PEM'
      throw new ListenError(
        where,
        `${certFile} and ${keyFile} cannot be used: ${(error as Error).message}`,
        hint,
        error,
      )
    }
    return { options, fingerprint: Buffer.concat([cert, key, ca ?? Buffer.alloc(0)]).toString('base64') }
  }
}

function peerOf(socket: Socket | TLSSocket): PeerInfo {
  return {
    address: socket.remoteAddress ?? '',
    port: socket.remotePort ?? 0,
    identity: identityOf(socket),
  }
}

/** The common name of a certificate that the listener's authorities vouch for. */
function identityOf(socket: Socket | TLSSocket): string | null {
  if (!('authorized' in socket) || !socket.authorized) return null
  const name = socket.getPeerCertificate().subject?.CN
  return typeof name === 'string' && name !== '' ? name : null
}
