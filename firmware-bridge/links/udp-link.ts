/**
 * MQTT-SN over UDP: one message a datagram, a peer is an address and port. A socket that fails is made anew. With a multicast group a
 * second socket hears it, because a socket that is bound to an address of this machine does not; answers leave from the first.
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { once } from 'node:events'
import type { BlockList } from 'node:net'
import type { LogSink } from '../../broker/log-sink.ts'
import { type Backoff, backoffMs } from '../backoff.ts'
import type { Clock } from '../clock.ts'
import { declaredLength } from '../framing/message-length.ts'
import type { UdpLinkConfig } from './config.ts'
import { UdpAddressError } from './errors.ts'
import type { Link, LinkCounters, LinkListener } from './link.ts'
import { count, newLinkCounters } from './link-counters.ts'
import { formatUdpAddress, networkList, parseUdpAddress, type UdpAddress } from './udp-address.ts'

export interface UdpHost {
  readonly clock: Clock
  readonly log: LogSink
  /** From [0, 1). */
  readonly random: () => number
}

const BACKOFF: Backoff = { firstMs: 500, msMax: 30_000 }
/** How far ADVERTISE goes without a radius: the local network. */
const HOPS_MAX = 1

/** At the first try they are mistakes of the configuration; all else may pass. */
const FINAL: Readonly<Record<string, readonly [reason: string, hint: string]>> = {
  EADDRINUSE: ['the port is in use', 'stop what uses it (`ss -lunp`), or set another address'],
  EACCES: ['this user may not use the port', 'use a port above 1023'],
}

export class UdpLink implements Link {
  readonly kind = 'udp'
  readonly name: string
  readonly messageBytesMax: number
  readonly retryMs: number
  readonly counters: LinkCounters = newLinkCounters()
  readonly #config: UdpLinkConfig
  readonly #host: UdpHost
  readonly #address: UdpAddress
  readonly #group: UdpAddress | null
  /** null: from anywhere. */
  readonly #allowed: BlockList | null
  #listener: LinkListener | null = null
  #sockets: { readonly main: Socket; readonly group: Socket | null } | null = null
  #trouble: string | null = 'it is not opened yet'
  #cancelRetry = () => {}
  #failures = 0
  #isClosed = false

  /** @throws UdpAddressError an address is none */
  constructor(config: UdpLinkConfig, host: UdpHost) {
    this.name = `udp ${config.address}`
    this.messageBytesMax = config.messageBytesMax
    this.retryMs = config.retryMs
    this.#config = config
    this.#host = host
    this.#address = parsed(config.address)
    this.#group = config.multicast === undefined ? null : parsed(config.multicast)
    if (this.#group !== null && familyOf(this.#group) !== familyOf(this.#address)) {
      const hint = 'let address and multicast both be IPv4, or both IPv6'
      throw new UdpAddressError(config.address, 'its multicast group is of the other kind', hint)
    }
    const allowed = networkList(config.allow)
    if (allowed === null) {
      throw new UdpAddressError(config.address, 'an entry of allow is no address', 'such as 192.0.2.0/24')
    }
    this.#allowed = config.allow.length === 0 ? null : allowed
  }

  get trouble(): string | null {
    return this.#trouble
  }

  /** Where it listens; null while it does not. */
  get boundTo(): UdpAddress | null {
    return this.#sockets?.main.address() ?? null
  }

  /** @throws UdpAddressError the port is taken, or not permitted */
  async open(listener: LinkListener): Promise<void> {
    this.#listener = listener
    await this.#tryOpen((error) => {
      const [reason, hint] = FINAL[error.code ?? ''] ?? []
      if (reason !== undefined) throw new UdpAddressError(this.#config.address, reason, hint!, error)
    })
  }

  send(peer: string, message: Uint8Array): boolean {
    const target = parseUdpAddress(peer)
    return target === null ? this.#notSent('unknown-peer') : this.#sendTo(target, message)
  }

  broadcast(message: Uint8Array, radius: number): boolean {
    const group = this.#group
    // nothing was lost: nobody was to hear it
    if (group === null) return false
    this.#sockets?.main.setMulticastTTL(radius === 0 ? HOPS_MAX : radius)
    return this.#sendTo(group, message)
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#listener = null
    this.#cancelRetry()
    this.#trouble = 'it is closed'
    await this.#release()
  }

  #sendTo({ address, port }: UdpAddress, message: Uint8Array): boolean {
    const socket = this.#sockets?.main
    if (socket === undefined) return this.#notSent('port-closed')
    if (message.length > this.messageBytesMax) return this.#notSent('too-long')
    if (socket.getSendQueueSize() + message.length > this.#config.sendBufferBytesMax) {
      return this.#notSent('send-buffer-full')
    }
    // the caller's bytes are its own again when this returns
    socket.send(Buffer.from(message), port, address, (error) => {
      if (error !== null) count(this.counters, 'send-failed')
    })
    this.counters.framesSent++
    this.counters.bytesSent += message.length
    return true
  }

  #onDatagram(bytes: Uint8Array, from: RemoteInfo): void {
    this.counters.bytesReceived += bytes.length
    const fault = this.#faultOf(bytes, from)
    if (fault !== null) {
      count(this.counters, fault)
      return
    }
    this.counters.framesReceived++
    this.#listener?.onMessage(formatUdpAddress(from), bytes)
  }

  #faultOf(bytes: Uint8Array, { address, family, port }: RemoteInfo): string | null {
    const kind = family === 'IPv4' ? 'ipv4' : 'ipv6'
    // port 0 cannot be answered
    if (port === 0 || this.#allowed?.check(address, kind) === false) return 'unknown-peer'
    if (bytes.length > this.messageBytesMax) return 'oversize'
    const length = declaredLength(bytes)
    if (length < 0 || length > bytes.length) return 'truncated'
    return length === bytes.length ? null : 'length'
  }

  async #tryOpen(refuse: (error: NodeJS.ErrnoException) => void): Promise<void> {
    try {
      const main = await this.#bound(this.#address, false)
      this.#sockets = { main, group: null }
      if (this.#group !== null) this.#sockets = { main, group: await this.#joined(this.#group) }
      this.#trouble = null
      const after = this.#failures > 0 ? ` after ${this.#failures} tries` : ''
      this.#failures = 0
      this.#host.log.info(`UDP ${formatUdpAddress(main.address())} is open${after}`)
    } catch (error) {
      await this.#release()
      refuse(error as NodeJS.ErrnoException)
      this.#onFailure(error as Error)
    }
    if (this.#isClosed) await this.#release()
  }

  async #bound({ address, port }: UdpAddress, isShared: boolean): Promise<Socket> {
    const isIpv6 = familyOf({ address, port }) === 6
    const socket = createSocket({
      type: isIpv6 ? 'udp6' : 'udp4',
      reuseAddr: isShared,
      // an address in a list of networks has one form then
      ipv6Only: isIpv6,
      recvBufferSize: this.#config.receiveBufferBytes,
      // peers are numbers already: they need not be looked up, a turn later
      lookup: (host, _options, found) => found(null, host, isIpv6 ? 6 : 4),
    })
    const listening = once(socket, 'listening')
    socket.bind(port, address)
    try {
      await listening
    } catch (error) {
      socket.close()
      throw error
    }
    socket.on('message', (bytes, from) => this.#onDatagram(bytes, from))
    socket.on('error', (error) => void this.#onSocketError(socket, error))
    return socket
  }

  async #joined(group: UdpAddress): Promise<Socket> {
    const socket = await this.#bound(group, true)
    try {
      const { address } = this.#address
      const isAny = address === '0.0.0.0' || address === '::'
      if (isAny || familyOf(group) === 6) socket.addMembership(group.address)
      else {
        socket.addMembership(group.address, address)
        this.#sockets?.main.setMulticastInterface(address)
      }
      return socket
    } catch (error) {
      socket.close()
      throw error
    }
  }

  async #onSocketError(socket: Socket, error: Error): Promise<void> {
    if (socket !== this.#sockets?.main && socket !== this.#sockets?.group) return
    await this.#release()
    this.#listener?.onGone(null, error.message)
    this.#onFailure(error)
  }

  #onFailure(error: Error): void {
    if (this.#isClosed) return
    this.#failures++
    const trouble = `${this.#config.address}: ${error.message}; tried again by itself`
    if (trouble !== this.#trouble) this.#host.log.warn(`UDP ${trouble}`)
    this.#trouble = trouble
    const ms = backoffMs(BACKOFF, this.#failures, this.#host.random())
    this.#cancelRetry = this.#host.clock.after(ms, () => void this.#tryOpen(() => {}))
  }

  async #release(): Promise<void> {
    const sockets = this.#sockets
    this.#sockets = null
    for (const socket of [sockets?.main, sockets?.group]) {
      if (socket) await new Promise<void>((resolve) => socket.close(() => resolve()))
    }
  }

  #notSent(reason: string): false {
    count(this.counters, reason)
    return false
  }
}

function familyOf({ address }: UdpAddress): 4 | 6 {
  return address.includes(':') ? 6 : 4
}

function parsed(text: string): UdpAddress {
  const address = parseUdpAddress(text)
  if (address === null) throw new UdpAddressError(text, 'it is no address', 'such as 127.0.0.1:1884')
  return address
}
