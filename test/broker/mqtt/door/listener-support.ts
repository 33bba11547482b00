/** A listener with real sockets, on files that a test makes; what connects to it is answered with what it sent. */
import { once } from 'node:events'
import { connect as connectTcp, type Socket } from 'node:net'
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls'
import { afterEach } from 'vitest'
import { WebSocket } from 'ws'
import type { PeerInfo } from '../../../../broker/mqtt/connection/access.ts'
import { Listener, type ListenerOptions, type ListenerParts } from '../../../../broker/mqtt/door/listener.ts'
import { createAuthority, createCertificate } from '../../../support/certificates.ts'
import { RecordingSink } from '../../log/support.ts'
import { filesDisk } from './support.ts'

export const LOOPBACK = { host: '127.0.0.1', port: 0 }
export const TLS = { certFile: '/crt', keyFile: '/key', clientCaFile: null, requiresClientCertificate: false }
export const WITH_CLIENTS = { ...TLS, clientCaFile: '/ca', requiresClientCertificate: true }

export const authority = createAuthority('plant')
export const devices = createAuthority('devices')
export const server = createCertificate({ name: 'broker', names: ['127.0.0.1'], issuer: authority })
export const sensor = createCertificate({ name: 'sensor-7', issuer: devices })
export const stranger = createCertificate({ name: 'sensor-7', issuer: createAuthority('others') })

export const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

export function filesOf(certificate = server) {
  return new Map([
    ['/crt', Buffer.from(certificate.cert)],
    ['/key', Buffer.from(certificate.key)],
    ['/ca', Buffer.from(devices.cert)],
  ])
}

export async function listen(options: Partial<ListenerOptions>, more: Partial<ListenerParts> = {}) {
  const files = filesOf()
  const peers: PeerInfo[] = []
  const sink = new RecordingSink()
  const listener = new Listener(
    { address: LOOPBACK, tls: null, webSocketPath: null, ...options },
    {
      disk: filesDisk(files),
      log: sink,
      frameBytesMax: 1000,
      onConnection(stream, peer) {
        peers.push(peer)
        stream.on('error', () => {})
        stream.on('data', (chunk) => stream.write(chunk))
        closers.push(() => stream.destroy())
      },
      ...more,
    },
  )
  await listener.listen()
  closers.unshift(() => listener.close())
  const port = Number(/:(\d+)/.exec(listener.bound.replace('://', ''))![1])
  return { listener, files, peers, port, sink }
}

export async function tls(port: number, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = connectTls({ host: '127.0.0.1', port, ca: authority.cert, ...options })
  closers.push(() => socket.destroy())
  await once(socket, 'secureConnect')
  return socket
}

export async function echo(socket: Socket, text = 'ping'): Promise<string> {
  socket.write(text)
  const [chunk] = (await once(socket, 'data')) as [Buffer]
  return chunk.toString()
}

/** Whatever goes before it. */
export function closed(socket: Socket): Promise<void> {
  socket.on('error', () => {})
  return new Promise((resolve) => socket.once('close', () => resolve()))
}

export function raw(port: number): Socket {
  const socket = connectTcp(port, '127.0.0.1')
  socket.on('error', () => {})
  closers.push(() => socket.destroy())
  return socket
}

export function webSocket(url: string, protocol: string | string[] = 'mqtt', options = {}): WebSocket {
  const socket = new WebSocket(url, protocol, options)
  socket.on('error', () => {})
  closers.push(() => socket.terminate())
  return socket
}
