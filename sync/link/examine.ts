/**
 * Whether an upstream's servers can be reached: the name, a TCP connection, TLS, each told apart. Nothing is said on the connection beyond
 * the handshake: no login, no request, and so no position is touched.
 */
import { lookup } from 'node:dns/promises'
import { once } from 'node:events'
import { connect as connectPlain, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { isCertificateDue, type Validity, validityOf } from '../../broker/index.ts'
import { parseAddress } from '../address.ts'
import { type ReadClock, timeText } from '../clock-reading.ts'
import type { TlsConfig } from '../config/security.ts'
import type { UpstreamConfig } from '../config.ts'
import { UpstreamError } from '../errors.ts'
import { type PeerAddress, serverNameOf } from '../peer-certificate.ts'
import { Secrets } from '../secrets.ts'
import { ownCertificate, readTlsFiles, type TlsMaterial } from '../tls.ts'
import { explainTls, notTls } from '../tls-faults.ts'

/** What was found of one server, or of what this device shows it. */
export interface LinkFinding {
  readonly level: 'ok' | 'warning' | 'fault'
  readonly what: string
  readonly todo: string
}

export interface ExamineDeps {
  readonly env: NodeJS.ProcessEnv
  readonly readClock: ReadClock
  /** What each step may take. */
  readonly stepMsMax?: number
}

const STEP_MS_MAX = 5000

export async function examineLink(config: UpstreamConfig, deps: ExamineDeps): Promise<LinkFinding[]> {
  if (config.kind === 'archive') return []
  const servers = config.kind === 'kafka' ? config.bootstrap : config.servers
  let material: TlsMaterial = {}
  const findings: LinkFinding[] = []
  if (config.tls !== undefined) {
    try {
      material = await readTlsFiles(config.tls, new Secrets(deps.env, null, config.name))
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error
      return [faultOf(error)]
    }
    findings.push(...ownFindings(config.tls, material, deps))
  }
  const examined = servers.map((server) => examineServer(server, config, material, deps))
  return [...findings, ...(await Promise.all(examined))]
}

/** What has expired the other side tells, better than the date; what is about to does not show yet. */
function ownFindings(
  { certFile }: TlsConfig,
  material: TlsMaterial,
  { readClock }: ExamineDeps,
): LinkFinding[] {
  const own = ownCertificate(material)
  if (own === null) return []
  const validity = validityOf(own)
  const { until } = validity
  const { now } = readClock()
  if (!isCertificateDue(validity, now)) return []
  const when = until < now ? 'expired' : 'expires'
  const what = `this device's certificate ${certFile} ${when} on ${timeText(until)}`
  const todo = 'put a new one and its key into the files; no restart is needed'
  return [{ level: until < now ? 'fault' : 'warning', what, todo }]
}

async function examineServer(
  server: string,
  config: Exclude<UpstreamConfig, { kind: 'archive' }>,
  material: TlsMaterial,
  deps: ExamineDeps,
): Promise<LinkFinding> {
  const { host, port } = parseAddress(server)
  const stepMs = deps.stepMsMax ?? STEP_MS_MAX
  try {
    await within(stepMs, lookup(host))
  } catch {
    const todo = 'check the name, and the name server of this machine (resolvectl status, /etc/resolv.conf)'
    return { level: 'fault', what: `${server}: the name ${host} is not known`, todo }
  }
  const socket = connectPlain({ host, port })
  // what comes after the answer is nobody's error
  socket.on('error', () => {})
  try {
    await within(stepMs, once(socket, 'connect'))
  } catch (error) {
    socket.destroy()
    return { level: 'fault', what: `${server}: ${unreachableText(error)}`, todo: REACH }
  }
  try {
    if (config.tls === undefined) return { level: 'ok', what: `${server}: reached, without TLS`, todo: '' }
    const { serverName } = config.tls
    const peer = { host, port, serverName, speaksFirst: config.kind === 'nats' }
    return await examineTls(server, { socket, peer, material, files: config.tls, stepMs }, deps)
  } finally {
    socket.destroy()
  }
}

const REACH = 'check that it runs, the port, and what is between: route, firewall, VPN'

interface Encrypting {
  readonly socket: Socket
  readonly peer: PeerAddress
  readonly material: TlsMaterial
  readonly files: TlsConfig
  readonly stepMs: number
}

async function examineTls(
  server: string,
  { socket, peer, material, files, stepMs }: Encrypting,
  { readClock }: ExamineDeps,
): Promise<LinkFinding> {
  const situation = { peer, files, material, prefix: 'tls', clock: readClock() }
  try {
    // NATS says a line first; what comes with it is TLS's only after our own hello
    if (peer.speaksFirst === true) await within(stepMs, once(socket, 'data'))
  } catch (error) {
    return faultOf(notTls(situation, error)(server))
  }
  const servername = serverNameOf(peer)
  // the host is what its certificate is compared with where it is an address, which is no server name
  const named = servername === undefined ? {} : { servername }
  const encrypted = connectTls({ ...material, socket, host: peer.host, ...named })
  encrypted.on('error', () => {})
  try {
    await within(stepMs, once(encrypted, 'secureConnect'))
    const protocol = encrypted.getProtocol() ?? 'TLS'
    const { valid_from: validFrom, valid_to: validTo } = encrypted.getPeerCertificate()
    return dueFinding(server, protocol, validityOf({ validFrom, validTo }), readClock().now)
  } catch (error) {
    const silence = silenceText(error)
    if (silence !== null) return { level: 'fault', what: `${server}: ${silence}`, todo: TLS_PORT }
    return faultOf((await explainTls(error as Error & { code?: string }, situation))(server))
  } finally {
    encrypted.destroy()
  }
}

const TLS_PORT = 'check that the port is its TLS listener, and not another one'

/** No word of TLS came back: what a plain listener does with a handshake, or something on the way. */
function silenceText(error: unknown): string | null {
  if (error instanceof TooLong) return 'no answer to the TLS handshake'
  const { code } = error as NodeJS.ErrnoException
  return code === 'ECONNRESET' || code === 'EPIPE' ? 'it ends the connection at the TLS handshake' : null
}

function dueFinding(server: string, protocol: string, validity: Validity, now: number): LinkFinding {
  const what = `${server}: reached, ${protocol}, its certificate is good until ${timeText(validity.until)}`
  if (!isCertificateDue(validity, now)) return { level: 'ok', what, todo: '' }
  return { level: 'warning', what, todo: 'tell who runs it: it expires soon' }
}

class TooLong extends Error {}

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new TooLong()), ms)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
    work.catch(() => {})
  }
}

function unreachableText(error: unknown): string {
  if (error instanceof TooLong) return 'no answer to a TCP connection'
  const { code } = error as NodeJS.ErrnoException
  if (code === 'ECONNREFUSED') return 'nothing listens on that port'
  if (code === 'EHOSTUNREACH' || code === 'ENETUNREACH') return 'there is no route to it'
  return `no TCP connection (${code ?? (error as Error).message})`
}

function faultOf({ message, hint }: UpstreamError): LinkFinding {
  return { level: 'fault', what: message, todo: hint }
}
