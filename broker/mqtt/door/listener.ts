/**
 * One address that clients connect to: TCP, TLS, WebSocket or secure WebSocket. What comes out is a stream of MQTT bytes and who stands at its
 * other end.
 *
 * Certificates are read again when their files change: connections that are open go on with the old ones. WebSocket is the package `ws` (the
 * one that mqtt.js uses; no packages of its own, no native code).
 *
 * A socket that comes too soon after others is closed before it costs a handshake. One that has not finished its handshake is not a connection yet:
 * there are at most `ARRIVING_MAX` of them, each for `HANDSHAKE_MS_MAX`.
 */
import { createServer as createHttpServer, type Server as HttpServer, type IncomingMessage } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from 'node:tls'
import type { WebSocketServer } from 'ws'
import { assert } from '../../assert.ts'
import { type CertificateStatus, certificateStatus } from '../../certificate-dates.ts'
import { formatListenAddress, type ListenAddress, listenError } from '../../config/address.ts'
import { LimitedLog } from '../../limited-log.ts'
import type { LogSink } from '../../log-sink.ts'
import type { Disk } from '../../storage/store.ts'
import type { PeerInfo } from '../connection/access.ts'
import { type Certificates, readCertificates, type TlsFiles } from './certificates.ts'
import { handshakeFault } from './handshake-fault.ts'
import { WebSocketStream } from './web-socket-stream.ts'

export interface ListenerOptions {
  readonly address: ListenAddress
  readonly tls: TlsFiles | null
  /** The path of its URL; null: plain MQTT. */
  readonly webSocketPath: string | null
}

/** How long the certificates of one listener are good. */
export interface ListenerTls {
  /** As it is bound. */
  readonly listener: string
  readonly certFile: string
  readonly keyFile: string
  readonly clientCaFile: string | null
  /** What it shows clients: of the chain the one that ends first. */
  readonly certificate: CertificateStatus
  /** What clients' certificates are taken from, the one that ends first; null where clients are not asked. */
  readonly clientAuthority: CertificateStatus | null
  /** Why the files as they are now cannot be used, so that older certificates stay in use; null where they are in use. */
  readonly fault: string | null
}

export type OnConnection = (stream: Duplex, peer: PeerInfo) => void

export interface ListenerParts {
  readonly disk: Disk
  readonly log: LogSink
  readonly onConnection: OnConnection
  /** A socket has come. @returns why it is refused, or null */
  readonly refuses?: (address: string) => string | null
  /** Other authorities vouch for clients: those that have lost theirs are to go. */
  readonly onAuthorities?: () => void
  /** Of one WebSocket message. */
  readonly frameBytesMax: number
  readonly handshakeMsMax?: number
  readonly arrivingMax?: number
}

type HandshakeServer = TlsServer | HttpServer

/** How often certificate files are looked at. */
const CHECK_MS = 30_000
const HANDSHAKE_MS_MAX = 10_000
const ARRIVING_MAX = 500
/** TCP asks whether the other side is still there once it was silent for so long: a client may do without MQTT's keep alive. */
const TCP_KEEP_ALIVE_MS = 60_000
/** Certificates between a client's and its authority. */
const CHAIN_MAX = 20
/**
 * Pieces of one WebSocket message, and what the network makes of it: each takes some 200 bytes beside its own, however small it is. A message of a mebibyte
 * comes in some 2,000 over a link with small segments.
 */
const FRAGMENTS_MAX = 1024
const CHUNKS_MAX = 8192
const MQTT_PROTOCOLS = ['mqtt', 'mqttv3.1']

export class Listener {
  readonly #options: ListenerOptions
  readonly #parts: ListenerParts
  readonly #limited: LimitedLog
  /** By address and port of the other side. */
  readonly #arriving = new Map<string, Socket>()
  /** Has the address; all sockets are its own. */
  #server: Server | undefined
  /** What leads the handshake. */
  #handshakes: HandshakeServer | undefined
  /** In use; null without TLS. */
  #certificates: Certificates | null = null
  #isOpen = false
  /** Has its address now, and the authorities of its clients. */
  #successor: Listener | null = null
  /** As it was bound last: connections that are open know it by this name. */
  #bound = ''
  /** Why those that are in the files now are not. */
  #fault: string | null = null
  #timer: NodeJS.Timeout | undefined

  constructor(options: ListenerOptions, parts: ListenerParts) {
    this.#options = options
    this.#parts = parts
    this.#limited = new LimitedLog(parts.log)
  }

  /** As it is bound, with its scheme where it is not plain MQTT: `mqtts://127.0.0.1:8883`. */
  get bound(): string {
    return this.#bound
  }

  #nameOf(server: Server): string {
    const { tls, webSocketPath } = this.#options
    const { address, port } = server.address() as AddressInfo
    const host = formatListenAddress({ host: address, port })
    if (webSocketPath !== null) return `${tls === null ? 'ws' : 'wss'}://${host}${webSocketPath}`
    return tls === null ? host : `mqtts://${host}`
  }

  /** @throws ListenError */
  async listen(): Promise<void> {
    await this.prepare()
    await this.bind()
    this.open()
  }

  /** Reads and tries what it needs; nothing is listened on yet. @throws ListenError */
  async prepare(): Promise<void> {
    const { tls } = this.#options
    const certificates = tls === null ? null : await this.#read(tls)
    this.#handshakes = await this.#createHandshakes(certificates)
    this.#certificates = certificates
  }

  /** What comes before `open` is closed as it comes. @throws ListenError */
  async bind(): Promise<void> {
    // an acknowledgement does not wait for the next packet
    const options = { noDelay: true, keepAlive: true, keepAliveInitialDelay: TCP_KEEP_ALIVE_MS }
    const server = createServer(options, (socket) => this.#arrived(socket))
    await this.#bind(server)
    this.#server = server
    this.#bound = this.#nameOf(server)
  }

  /** Takes connections from now on. */
  open(): void {
    this.#isOpen = true
    if (this.#certificates === null) return
    this.#timer = setInterval(() => void this.renew(), CHECK_MS)
    this.#timer.unref()
  }

  /** Has another one's address from now on, which takes nothing more; its connections go on. */
  succeed(other: Listener): void {
    const server = other.#server
    assert(server !== undefined, 'who is followed has an address')
    other.#server = undefined
    other.#successor = this
    void other.close()
    server.removeAllListeners('connection')
    server.on('connection', (socket) => this.#arrived(socket))
    this.#server = server
    this.#bound = this.#nameOf(server)
  }

  /** Gives its address free, which `bind` takes again; connections that are open go on. */
  release(): void {
    this.#server?.close()
    this.#server = undefined
  }

  /** Takes new certificates where the files changed; what cannot be used is told, and the old ones stay. */
  async renew(): Promise<void> {
    const { tls } = this.#options
    const { log } = this.#parts
    if (tls === null || this.#handshakes === undefined) return
    try {
      const certificates = await this.#read(tls)
      this.#fault = null
      if (certificates.fingerprint === this.#certificates?.fingerprint) return
      ;(this.#handshakes as TlsServer).setSecureContext(certificates.options)
      this.#certificates = certificates
      log.info('a listener has new certificates', { listener: this.bound })
      this.#parts.onAuthorities?.()
    } catch (error) {
      const reason = (error as Error).message
      this.#fault = reason
      this.#limited.warn(reason, 'a listener keeps its old certificates', { listener: this.bound, reason })
    }
  }

  /** @param now ms since 1970 @returns null without TLS */
  tls(now: number): ListenerTls | null {
    const { tls } = this.#options
    if (tls === null || this.#certificates === null) return null
    const { certFile, keyFile, clientCaFile } = tls
    const { validity, authorityValidity } = this.#certificates
    const certificate = certificateStatus(validity, now)
    if (certificate === null) return null
    const clientAuthority = certificateStatus(authorityValidity, now)
    const files = { certFile, keyFile, clientCaFile }
    return { listener: this.bound, ...files, certificate, clientAuthority, fault: this.#fault }
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
    const { handshakeMsMax = HANDSHAKE_MS_MAX, arrivingMax = ARRIVING_MAX, refuses } = this.#parts
    const handshakes = this.#handshakes
    // gone already: it has no address any more
    const { remoteAddress: from } = socket
    socket.on('error', () => {})
    if (!this.#isOpen || from === undefined || (refuses?.(from) ?? null) !== null) {
      socket.destroy()
      return
    }
    if (handshakes === undefined) {
      this.#take(socket, socket)
      return
    }
    if (this.#arriving.size >= arrivingMax) {
      const reason = `${arrivingMax} others are in their handshake`
      this.#limited.warn('arriving', 'refused a connection', { from, reason })
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
    handshakes.emit('connection', socket)
  }

  /** Its handshake is done. */
  #take(stream: Duplex, socket: Socket | TLSSocket): void {
    this.#arriving.delete(keyOf(socket))
    const { remoteAddress: address = '', remotePort: port = 0 } = socket
    const identity = identityOf(socket)
    const listener = this.bound
    if (identity === null) {
      this.#parts.onConnection(stream, { address, port, listener, identity })
      return
    }
    const authority = authorityOf(socket as TLSSocket)
    const isVouchedFor = () => this.#vouchesFor(authority)
    this.#parts.onConnection(stream, { address, port, listener, identity, isVouchedFor })
  }

  #vouchesFor(authority: string): boolean {
    if (this.#successor !== null) return this.#successor.#vouchesFor(authority)
    return this.#certificates?.authorities.has(authority) === true
  }

  // -- servers -------------------------------------------------------------------------------------------------------

  /** They have no address: sockets are handed to them. @returns undefined for plain MQTT */
  async #createHandshakes(certificates: Certificates | null): Promise<HandshakeServer | undefined> {
    const { tls, webSocketPath } = this.#options
    const asksClients = tls !== null && tls.clientCaFile !== null
    const options = {
      ...certificates?.options,
      requestCert: asksClients,
      rejectUnauthorized: asksClients && tls.requiresClientCertificate,
      handshakeTimeout: this.#parts.handshakeMsMax ?? HANDSHAKE_MS_MAX,
    }
    if (webSocketPath !== null) {
      const server = certificates === null ? createHttpServer() : createHttpsServer(options)
      // loaded where it is used: it takes memory that most brokers need not give
      this.#upgrade(server, webSocketPath, (await import('ws')).WebSocketServer)
      return this.#quiet(server)
    }
    if (certificates === null) return undefined
    return this.#quiet(createTlsServer(options, (socket) => this.#take(socket, socket)))
  }

  /** What a client does wrong before it is connected ends its connection, and nothing else. */
  #quiet<S extends TlsServer | HttpServer>(server: S): S {
    server.on('tlsClientError', (error: Error, socket: TLSSocket) => {
      const fault = handshakeFault(error, socket.authorizationError)
      const fields = { from: addressOf(socket), reason: `its TLS handshake failed: ${fault}` }
      this.#limited.warn(`TLS ${fault}`, 'refused a connection', fields)
      socket.destroy()
    })
    server.on('clientError', (_error: Error, socket: Duplex) => socket.destroy())
    // such as another handshake, which is refused: Node would leave the connection as it is
    server.on('secureConnection', (socket: TLSSocket) => socket.on('error', () => socket.destroy()))
    return server
  }

  #upgrade(server: HttpServer, path: string, Sockets: typeof WebSocketServer): void {
    const webSockets = new Sockets({
      noServer: true,
      maxPayload: this.#parts.frameBytesMax,
      perMessageDeflate: false,
      maxFragments: FRAGMENTS_MAX,
      maxBufferedChunks: CHUNKS_MAX,
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
          this.#take(new WebSocketStream(webSocket, socket), socket)
        })
        return
      }
      const [status, reason] = refusal
      const fields = { from: socket.remoteAddress, reason: `its WebSocket handshake failed: ${reason}` }
      this.#limited.warn(status, 'refused a connection', fields)
      // nobody reads it any more, so it would not notice that the client has gone
      socket.once('finish', () => socket.destroy())
      socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
    })
  }

  async #bind(server: Server): Promise<void> {
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

  #read(tls: TlsFiles): Promise<Certificates> {
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

/** One whose handshake failed may have lost its address; the socket below it, which was asked when it came, knows it still. */
function addressOf(socket: TLSSocket & { readonly _parent?: Socket }): string | undefined {
  return socket.remoteAddress ?? socket._parent?.remoteAddress
}

function keyOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`
}

/** At the end of the certificate's chain, by its fingerprint. */
function authorityOf(socket: TLSSocket): string {
  let certificate = socket.getPeerCertificate(true)
  // the last one is its own issuer; a chain that could not be put together again has none
  for (let length = 0; length < CHAIN_MAX; length++) {
    const { issuerCertificate } = certificate
    if (issuerCertificate === undefined || issuerCertificate.fingerprint256 === certificate.fingerprint256)
      break
    certificate = issuerCertificate
  }
  return certificate.fingerprint256
}

/** The common name of a certificate that the listener's authorities vouch for. */
function identityOf(socket: Socket | TLSSocket): string | null {
  if (!('authorized' in socket) || !socket.authorized) return null
  const name = socket.getPeerCertificate().subject?.CN
  return typeof name === 'string' && name !== '' ? name : null
}
