/**
 * How a connection to the broker is made. mqtt.js brings the same and WebSocket with it; its parts are imported one by one, because all of
 * it takes 5 MB more of a process that is to have 80.
 */
import { readFileSync } from 'node:fs'
import { connect as connectTcp, isIP, type NetConnectOpts, type Socket } from 'node:net'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'
import { BridgeSecretError } from '../errors.ts'
import type { AcknowledgementSieve } from './acknowledgement-sieve.ts'
import type { BrokerConfig } from './config.ts'

const READ_BYTES = 64 * 1024
const PORTS = { mqtt: 1883, mqtts: 8883 } as const

export interface Transport {
  /** For logs: without user and password. */
  readonly name: string
  /** @param sieve of what is read; with encryption none is asked, because there nothing can be read where it lies */
  connect(sieve?: AcknowledgementSieve): Socket
}

/** Certificates are read at each connection: a renewed one counts from the next on. */
export function transportOf({ url, tls }: BrokerConfig): Transport {
  const { protocol, hostname, port } = new URL(url)
  const isTls = protocol === 'mqtts:'
  const host = hostname.replace(/^\[(.*)\]$/, '$1')
  const place = { host, port: port === '' ? PORTS[isTls ? 'mqtts' : 'mqtt'] : Number(port) }
  const name = `${isTls ? 'mqtts' : 'mqtt'}://${hostname}:${place.port}`
  if (!isTls) return { name, connect: (sieve) => connectPlain({ ...place, noDelay: true }, sieve) }
  return {
    name,
    connect() {
      const options: ConnectionOptions = { ...place, ...(isIP(host) === 0 ? { servername: host } : {}) }
      if (tls?.caFile !== undefined) options.ca = readSecret(tls.caFile)
      if (tls?.certFile !== undefined) options.cert = readSecret(tls.certFile)
      if (tls?.keyFile !== undefined) options.key = readSecret(tls.keyFile)
      return connectTls(options).setNoDelay(true)
    },
  }
}

/** Read into by all connections in turn: each is done with it before it returns. */
let readBuffer: Buffer | null = null

function connectPlain(place: NetConnectOpts, sieve: AcknowledgementSieve | undefined): Socket {
  if (sieve === undefined) return connectTcp(place)
  readBuffer ??= Buffer.allocUnsafeSlow(READ_BYTES)
  const buffer = readBuffer
  const callback = (count: number) => {
    let wantsMore = true
    sieve.read(buffer, count, (from, to) => {
      // not of Buffer's pool: a payload that waits for its device would hold a slab
      const bytes = Buffer.allocUnsafeSlow(to - from)
      buffer.copy(bytes, 0, from, to)
      wantsMore = socket.push(bytes)
    })
    return wantsMore
  }
  const socket = connectTcp({ ...place, onread: { buffer, callback } })
  return socket
}

/** @returns the password without the line's end; undefined without a file. @throws BridgeSecretError */
export function readPassword(file: string | undefined): string | undefined {
  return file === undefined
    ? undefined
    : readSecret(file)
        .toString()
        .replace(/\r?\n$/, '')
}

function readSecret(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    throw new BridgeSecretError(file, code === 'ENOENT' ? 'there is no such file' : message, error)
  }
}
