/**
 * One address that clients connect to: TCP, TLS, WebSocket or secure WebSocket. What comes out is a stream of MQTT bytes and who stands at its
 * other end.
 *
 * Certificates are read again when their files change: connections that are open go on with the old ones. WebSocket is the package `ws` (the
 * one that mqtt.js uses; no packages of its own, no native code).
 *
 * A socket that has not finished its handshake is not a connection yet. There are at most `ARRIVING_MAX` of them, each for `HANDSHAKE_MS_MAX`.
 */
import { createServer as createHttpServer, type Server as HttpServer, type IncomingMessage } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { createServer, type Server, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from 'node:tls'
import { WebSocketServer } from 'ws'
import { formatListenAddress, type ListenAddress, listenError } from '../../config/address.ts'
import { LimitedLog } from '../../limited-log.ts'
import type { LogSink } from '../../log-sink.ts'
import type { Disk } from '../../storage/store.ts'
import type { PeerInfo } from '../connection/access.ts'
import { type Certificates, readCertificates, type TlsFiles } from './certificates.ts'
import { WebSocketStream } from './web-socket-stream.ts'

export interface ListenerOptions {
  readonly address: ListenAddress
  readonly tls: TlsFiles | null
  /** The path of its URL; null: plain MQTT. */
  readonly webSocketPath: string | null
}

export type OnConnection = (stream: Duplex, peer: PeerInfo) => void

export interface ListenerParts {
  readonly disk: Disk
  readonly log: LogSink
  readonly onConnection: OnConnection
  /** Of one WebSocket message. */
  readonly frameBytesMax: number
  readonly handshakeMsMax?: number
  readonly arrivingMax?: number
}

type AnyServer = Server | TlsServer | HttpServer

/** How often certificate files are looked at. */
const CHECK_MS = 30_000
const HANDSHAKE_MS_MAX = 10_000
const ARRIVING_MAX = 500
/** TCP asks whether the other side is still there once it was silent for so long: a client may do without MQTT's keep alive. */
const TCP_KEEP_ALIVE_MS = 60_000
const MQTT_PROTOCOLS = ['mqtt', 'mqttv3.1']

export class Listener {
  readonly #options: ListenerOptions
  readonly #parts: ListenerParts
  readonly #limited: LimitedLog
  /** By address and port of the other side. */
  readonly #arriving = new Map<string, Socket>()
  #server: AnyServer | undefined
  #fingerprint = ''
  #timer: NodeJS.Timeout | undefined

  constructor(options: ListenerOptions, parts: ListenerParts) {
    this.#options = options
    this.#parts = parts
    this.#limited = new LimitedLog(parts.log)
  }

  /** As it is bound, with its scheme where it is not plain MQTT: `mqtts://127.0.0.1:8883`. */
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
    const { tls } = this.#options
    const certificates = tls === null ? null : await this.#certificates(tls)
    this.#server = this.#createServer(certificates)
    this.#server.on('connection', (socket: Socket) => this.#arrived(socket))
    await this.#bind(this.#server)
    if (certificates === null) return
    this.#fingerprint = certificates.fingerprint
    this.#timer = setInterval(() => void this.renew(), CHECK_MS)
    this.#timer.unref()
  }

  /** Takes new certificates where the files changed; what cannot be used is told, and the old ones stay. */
  async renew(): Promise<void> {
    const { tls } = this.#options
    const { log } = this.#parts
    if (tls === null || this.#server === undefined) return
    try {
      const { options, fingerprint } = await this.#certificates(tls)
      if (fingerprint === this.#fingerprint) return
      ;(this.#server as TlsServer).setSecureContext(options)
      this.#fingerprint = fingerprint
      log.info('a listener has new certificates', { listener: this.bound })
    } catch (error) {
      const reason = (error as Error).message
      this.#limited.warn(reason, 'a listener keeps its old certificates', { listener: this.bound, reason })
    }
  }

  /** Takes no more connections; resolves once those there are have ended. */
  close(): Promise<void> {
    clearInterval(this.#timer)
    for (const socket of this.#arriving.values()) socket.destroy()
    const server = this.#server
    if (server === undefined || !server.listening) return Promise.resolve()
    return new Promise((resolve) => server.close(() => resolve()))
  }

  // -- arriving ------------------------------------------------------------------------------------------------------

  #arrived(socket: Socket): void {
    if (!this.#needsHandshake) return
    const { handshakeMsMax = HANDSHAKE_MS_MAX, arrivingMax = ARRIVING_MAX } = this.#parts
    const from = socket.remoteAddress ?? ''
    if (this.#arriving.size >= arrivingMax) {
      this.#limited.warn('arriving', 'refused a connection: too many are in their handshake', { from })
      socket.destroy()
      return
    }
    const key = keyOf(socket)
    const late = setTimeout(() => {
      if (this.#arriving.get(key) !== socket) return
      this.#limited.warn('late', 'dropped a connection', { from, reason: 'its handshake took too long' })
      socket.destroy()
    }, handshakeMsMax)
    late.unref()
    this.#arriving.set(key, socket)
    socket.once('close', () => {
      clearTimeout(late)
      if (this.#arriving.get(key) === socket) this.#arriving.delete(key)
    })
  }

  get #needsHandshake(): boolean {
    return this.#options.tls !== null || this.#options.webSocketPath !== null
  }

  /** Its handshake is done. */
  #take(stream: Duplex, socket: Socket | TLSSocket): void {
    this.#arriving.delete(keyOf(socket))
    const { remoteAddress: address = '', remotePort: port = 0 } = socket
    this.#parts.onConnection(stream, { address, port, identity: identityOf(socket) })
  }

  // -- servers -------------------------------------------------------------------------------------------------------

  #createServer(certificates: Certificates | null): AnyServer {
    const { tls, webSocketPath } = this.#options
    const asksClients = tls !== null && tls.clientCaFile !== null
    const options = {
      // an acknowledgement does not wait for the next packet
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: TCP_KEEP_ALIVE_MS,
      ...certificates?.options,
      requestCert: asksClients,
      rejectUnauthorized: asksClients && tls.requiresClientCertificate,
      handshakeTimeout: this.#parts.handshakeMsMax ?? HANDSHAKE_MS_MAX,
    }
    if (webSocketPath !== null) {
      const server = certificates === null ? createHttpServer(options) : createHttpsServer(options)
      this.#upgrade(server, webSocketPath)
      return this.#quiet(server)
    }
    const take = (socket: Socket) => this.#take(socket, socket)
    return certificates === null ? createServer(options, take) : this.#quiet(createTlsServer(options, take))
  }

  /** What a client does wrong before it is connected ends its connection, and nothing else. */
  #quiet<S extends TlsServer | HttpServer>(server: S): S {
    server.on('tlsClientError', (error: Error, socket: TLSSocket) => {
      const fields = { from: socket.remoteAddress, reason: error.message }
      this.#limited.warn(error.message, 'refused a connection: its TLS handshake failed', fields)
      socket.destroy()
    })
    server.on('clientError', (_error: Error, socket: Duplex) => socket.destroy())
    return server
  }

  #upgrade(server: HttpServer, path: string): void {
    const webSockets = new WebSocketServer({
      noServer: true,
      maxPayload: this.#parts.frameBytesMax,
      perMessageDeflate: false,
      handleProtocols: (offered) => MQTT_PROTOCOLS.find((name) => offered.has(name)) ?? false,
    })
    server.on('request', (_request, response) => {
      response.writeHead(426, { connection: 'close', upgrade: 'websocket', 'content-type': 'text/plain' })
      response.end('this is an MQTT broker: connect with WebSocket\n')
    })
    server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
      socket.on('error', () => socket.destroy())
      const refusal = refusalOf(request, path)
      if (refusal === null) {
        webSockets.handleUpgrade(request, socket, head, (webSocket) => {
          this.#take(new WebSocketStream(webSocket), socket)
        })
        return
      }
      const [status, reason] = refusal
      const fields = { from: socket.remoteAddress, reason }
      this.#limited.warn(status, 'refused a connection: its WebSocket handshake failed', fields)
      // nobody reads it any more, so it would not notice that the client has gone
      socket.once('finish', () => socket.destroy())
      socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
    })
  }

  async #bind(server: AnyServer): Promise<void> {
    const { host, port } = this.#options.address
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) =>
        reject(listenError(this.#options.address, error)),
      )
      server.listen(host === null ? { port } : { host, port }, resolve)
    })
    server.removeAllListeners('error')
    server.on('error', (error: Error) =>
      this.#parts.log.error('a listener failed', { reason: error.message }),
    )
  }

  #certificates(tls: TlsFiles): Promise<Certificates> {
    return readCertificates(this.#parts.disk, tls, formatListenAddress(this.#options.address))
  }
}

/** The client must ask for this path, and offer the subprotocol "mqtt" [MQTT-6.0.0-3]. */
function refusalOf(request: IncomingMessage, path: string): [status: string, reason: string] | null {
  const asked = (request.url ?? '/').split('?', 1)[0]
  if (asked !== path) return ['404 Not Found', `it asks for another path than ${path}`]
  const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim())
  if (MQTT_PROTOCOLS.some((name) => offered.includes(name))) return null
  return ['400 Bad Request', 'it does not offer the subprotocol mqtt']
}

function keyOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`
}

/** The common name of a certificate that the listener's authorities vouch for. */
function identityOf(socket: Socket | TLSSocket): string | null {
  if (!('authorized' in socket) || !socket.authorized) return null
  const name = socket.getPeerCertificate().subject?.CN
  return typeof name === 'string' && name !== '' ? name : null
}
