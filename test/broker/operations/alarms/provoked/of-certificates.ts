/** Certificates of listeners and of upstreams. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ListenerTls } from '../../../../../broker/mqtt/door/listener.ts'
import { type Certificate, createAuthority, createCertificate } from '../../../../support/certificates.ts'
import { Edge, scratch } from './edge.ts'
import type { Provocation } from './provocation.ts'

const DAY_MS = 86_400_000
const inDays = (days: number) => new Date(Date.now() + days * DAY_MS)
const issuer = createAuthority('plant')
const TLS = { certFile: 'edge.crt', keyFile: 'edge.key' }
const plain = { address: '127.0.0.1:0' }

function writeCertificate(directory: string, days: number): void {
  const { cert, key } = createCertificate({
    name: 'edge-1',
    issuer,
    from: inDays(-400),
    until: inDays(days),
  })
  writeFileSync(join(directory, TLS.certFile), cert)
  writeFileSync(join(directory, TLS.keyFile), key, { mode: 0o600 })
}

function writeAuthorities(directory: string, authorities: readonly Certificate[]): void {
  writeFileSync(join(directory, 'devices.crt'), authorities.map(({ cert }) => cert).join(''))
}

async function tlsOf(edge: Edge): Promise<ListenerTls> {
  return (await edge.report()).broker!.mqtt.tls[0]!
}

const expiries = async (edge: Edge, what: string) =>
  new RegExp(
    `^headwater_listener_${what}_expiry_timestamp_seconds\\{listener="([^"]+)"\\} (\\d+)$`,
    'm',
  ).exec(await edge.get('/metrics'))

let listener = ''

/** One listener with TLS beside a plain one. */
async function withListener(directory: string, more: object): Promise<Edge> {
  const edge = await Edge.start({ directory, config: { mqtt: { listeners: [plain, more] } } })
  listener = (await tlsOf(edge)).listener
  return edge
}

/** What status, API and metrics say of it is the same. */
async function expectExpiry(edge: Edge, days: number, isDue: boolean): Promise<void> {
  const { certificate } = await tlsOf(edge)
  if (certificate.isDue !== isDue || Math.abs(certificate.until - inDays(days).getTime()) > DAY_MS)
    throw new Error(`it is ${JSON.stringify(certificate)}`)
  const [, name, seconds] = (await expiries(edge, 'certificate'))!
  if (name !== listener || Number(seconds) * 1000 !== certificate.until)
    throw new Error(`metrics: ${seconds}`)
  const status = await edge.status()
  if (!status.includes(`of ${listener} good until ${new Date(certificate.until).getFullYear()}-`))
    throw new Error(status)
}

export const CERTIFICATE_PROVOCATIONS = {
  'certificate-due': {
    severity: 'warning',
    subject: 'central',
    summary: /the certificate that this device shows central ends on/,
    async provoke() {
      const directory = scratch()
      writeCertificate(directory, 1)
      const central = {
        name: 'central',
        kind: 'kafka',
        // nobody answers there: the files are read all the same
        bootstrap: ['127.0.0.1:9'],
        tls: TLS,
        backoff: { firstMs: 20, msMax: 100 },
      }
      const edge = await Edge.start({ directory, config: { upstreams: [central] } })
      await edge.until('it was read', async () => (await edge.upstream()).certificate !== null)
      return edge
    },
    async mend(edge) {
      writeCertificate(edge.directory, 400)
      const isRenewed = async () => (await edge.upstream()).certificate?.isDue === false
      await edge.until('it is read again', isRenewed)
    },
  },

  'certificate-due: of a listener': {
    severity: 'warning',
    subject: () => listener,
    summary: /the certificate that mqtts:.* shows its clients ends on 2/,
    async provoke() {
      const directory = scratch()
      writeCertificate(directory, 3)
      const edge = await withListener(directory, { ...plain, tls: TLS })
      await expectExpiry(edge, 3, true)
      return edge
    },
    async mend(edge) {
      writeCertificate(edge.directory, 400)
      await edge.reload({})
      await expectExpiry(edge, 400, false)
    },
  },

  'certificate-due: of one that has ended': {
    severity: 'critical',
    subject: () => listener,
    summary: /the certificate that wss:.*\/mqtt shows its clients has ended on 2/,
    async provoke() {
      const directory = scratch()
      writeCertificate(directory, -1)
      return withListener(directory, { ...plain, tls: TLS, webSocket: { path: '/mqtt' } })
    },
    async mend(edge) {
      writeCertificate(edge.directory, 400)
      await edge.reload({})
      await expectExpiry(edge, 400, false)
    },
  },

  "certificate-due: of clients' authority": {
    severity: 'warning',
    subject: () => `${listener} clientCaFile`,
    summary: /an authority whose certificates mqtts:.* takes from clients ends on 2/,
    async provoke() {
      const directory = scratch()
      writeCertificate(directory, 400)
      writeAuthorities(directory, [createAuthority('devices', { from: inDays(-400), until: inDays(20) })])
      const edge = await withListener(directory, { ...plain, tls: { ...TLS, clientCaFile: 'devices.crt' } })
      if ((await expiries(edge, 'client_authority'))?.[1] !== listener) throw new Error('no metric')
      return edge
    },
    // its successor beside it, and later alone
    async mend(edge) {
      const old = createAuthority('devices', { from: inDays(-400), until: inDays(20) })
      const next = createAuthority('devices', { until: inDays(800) })
      writeAuthorities(edge.directory, [next, old])
      await edge.reload({})
      if ((await tlsOf(edge)).clientAuthority?.isDue !== false) throw new Error('the old one counts')
      writeAuthorities(edge.directory, [next])
      await edge.reload({})
    },
  },

  'certificate-unusable': {
    severity: 'warning',
    subject: () => listener,
    summary: /goes on with its old certificates: .*edge\.crt and .*edge\.key cannot be used/,
    async provoke() {
      const directory = scratch()
      writeCertificate(directory, 400)
      const edge = await withListener(directory, { ...plain, tls: TLS })
      // the certificate was renewed and its key was forgotten
      const { cert } = createCertificate({ name: 'edge-1', issuer, until: inDays(800) })
      writeFileSync(join(directory, TLS.certFile), cert)
      await edge.reload({})
      await expectExpiry(edge, 400, false)
      return edge
    },
    async mend(edge) {
      writeCertificate(edge.directory, 800)
      await edge.reload({})
      await expectExpiry(edge, 800, false)
    },
  },
} as const satisfies Record<string, Provocation>
