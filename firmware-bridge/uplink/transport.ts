/**
 * How a connection to the broker is made. mqtt.js brings the same and WebSocket with it; its parts are imported one by one, because all of
 * it takes 5 MB more of a process that is to have 80.
 */
import { readFileSync } from 'node:fs'
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'
import { BridgeSecretError } from '../errors.ts'
import type { BrokerConfig } from './config.ts'

const PORTS = { mqtt: 1883, mqtts: 8883 } as const

export interface Transport {
  /** For logs: without user and password. */
  readonly name: string
  connect(): Socket
}

/** Certificates are read at each connection: a renewed one counts from the next on. */
export function transportOf({ url, tls }: BrokerConfig): Transport {
  const { protocol, hostname, port } = new URL(url)
  const isTls = protocol === 'mqtts:'
  const host = hostname.replace(/^\[(.*)\]$/, '$1')
  const place = { host, port: port === '' ? PORTS[isTls ? 'mqtts' : 'mqtt'] : Number(port) }
  const name = `${isTls ? 'mqtts' : 'mqtt'}://${hostname}:${place.port}`
  if (!isTls) return { name, connect: () => connectTcp({ ...place, noDelay: true }) }
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
