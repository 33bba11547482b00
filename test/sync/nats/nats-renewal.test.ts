/**
 * Certificates, passwords and credentials files that change while records flow, on the edge and on the server: nothing lost, nothing
 * twice, and no restart. The clock of the edge is put forward, so that it looks at its files.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { mkdtemp, rm } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type Clock, systemClock } from '../../../sync/clock.ts'
import { type Certificate, createAuthority, createCertificate } from '../../support/certificates.ts'
import { JwtAccounts } from '../../support/nats/jwt.ts'
import { describeWithNats } from '../../support/nats/vitest.ts'
import { secretFile, until } from '../kafka/security-setup.ts'
import { edgeConfig, NatsEdge } from './nats-edge.ts'

const A_MINUTE_MS = 60_000
/** For a second look, which a failure needs to be told. */
const SOON_MS = 3000
const SOCKET = 'net.client.socket'

function leapingClock() {
  let ahead = 0
  const clock: Clock = { ...systemClock, monotonic: () => systemClock.monotonic() + ahead }
  return { clock, leap: (ms = A_MINUTE_MS) => (ahead += ms) }
}

describeWithNats('a NATS server that goes on', (start) => {
  let directory: string
  let edge: NatsEdge
  /** Connections of this process, which are the edge's until the test reads back. */
  const sockets = new Set<Socket>()
  const count = (message: unknown) => void sockets.add((message as { socket: Socket }).socket)
  const isOpen = (socket: Socket) => !socket.destroyed
  const file = (name: string, text: string) => secretFile(directory, name, text)

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'headwater-nats-renewal-'))
    edge = new NatsEdge()
    sockets.clear()
    subscribe(SOCKET, count)
  })
  afterEach(async () => {
    unsubscribe(SOCKET, count)
    await edge.stop()
    await rm(directory, { recursive: true })
  })

  /** Replicates until the connection is another one, and the one before is closed; where a failure was told, its end is, too. */
  async function replaced(before: number): Promise<void> {
    const lines = edge.lines.length
    await until('the connection is replaced', async () => {
      await edge.replicate()
      const isReplaced = sockets.size > before && [...sockets].filter(isOpen).length === 1
      return isReplaced && (lines === 0 || edge.lines.length > lines)
    })
  }

  it('takes a new certificate of another authority on both sides, and the old connection goes on until both fit', async () => {
    const { clock, leap } = leapingClock()
    const authority = createAuthority('Plant')
    const listener = async (name: string, shown: Certificate, clients: Certificate) => {
      const cert = await file(`${name}.pem`, shown.cert)
      const key = await file(`${name}.key`, shown.key)
      const ca = await file(`${name}-clients.pem`, clients.cert)
      return { config: `tls { cert_file: "${cert}", key_file: "${key}", ca_file: "${ca}", verify: true }` }
    }
    const shown = (issuer: Certificate) => createCertificate({ name: 'nats', names: ['127.0.0.1'], issuer })
    const one = createCertificate({ name: 'edge-a', issuer: authority })
    const server = await start(await listener('first', shown(authority), authority))
    const tls = {
      caFile: await file('ca.pem', authority.cert),
      certFile: await file('edge.pem', one.cert),
      keyFile: await file('edge.key', one.key),
    }
    await edge.start(edgeConfig(server.address, { tls }), { clock })
    await edge.replicate()
    expect(sockets.size).toBe(1)

    const clients = createAuthority('New Clients')
    const servers = createAuthority('New Servers')
    const two = createCertificate({ name: 'edge-a', issuer: clients })
    await server.reload(await listener('second', shown(servers), clients))
    leap()
    await edge.replicate()
    expect({ sockets: sockets.size, lines: edge.lines }).toEqual({ sockets: 1, lines: [] })

    await file('edge.pem', two.cert)
    await file('ca.pem', authority.cert + servers.cert)
    leap()
    await edge.replicate()
    await until('the half that is new is noticed', async () => {
      leap(SOON_MS)
      await edge.replicate()
      return edge.lines.length > 0
    })
    expect(edge.lines[0]).toMatch(
      /goes on with its old credentials, .*edge\.key: it is not the key of the certificate/,
    )

    await file('edge.key', two.key)
    leap()
    await replaced(1)
    expect(edge.lines.slice(1)).toEqual([expect.stringMatching(/uses its new credentials/)])
    expect(await edge.readBack(server.address, { tls })).toBeGreaterThan(300)
    for (const key of [one.key, two.key]) expect(edge.said()).not.toContain(key)
  })

  it('takes a new password, set on the edge first', async () => {
    const { clock, leap } = leapingClock()
    const authorization = (password: string) => ({
      config: `authorization { user: edge, password: "${password}" }`,
    })
    const server = await start(authorization('first-password'))
    const passwordFile = await file('password', 'first-password')
    const login = { user: 'edge', passwordFile }
    await edge.start(edgeConfig(server.address, { login }), { clock })
    await edge.replicate()

    await file('password', 'second-password')
    leap()
    await until('the server refuses it', async () => {
      leap(SOON_MS)
      await edge.replicate()
      return edge.lines.length > 0
    })
    expect(edge.lines[0]).toMatch(/goes on with its old credentials, .*HW_UPSTREAM_AUTH: .*check login\.user/)
    await edge.replicate()

    // The server ends the connection that was opened with the first one.
    await server.reload(authorization('second-password'))
    await replaced(1)
    expect(await edge.readBack(server.address, { login })).toBeGreaterThan(200)
    expect(edge.said()).not.toMatch(/(first|second)-password/)
  })

  it('takes a new user from the credentials file, but not one of another account', async () => {
    const { clock, leap } = leapingClock()
    const accounts = new JwtAccounts(2)
    const { address } = await start({ config: accounts.config })
    const [one, two, stranger] = [accounts.user(), accounts.user(), accounts.user({ account: 1 })]
    const login = { credsFile: await file('user.creds', one.creds) }
    await edge.start(edgeConfig(address, { login }), { clock })
    await edge.replicate()
    await file('user.creds', stranger.creds)
    leap()
    await until('the other account is noticed', async () => {
      leap(SOON_MS)
      await edge.replicate()
      return edge.lines.length > 0
    })
    expect(edge.lines[0]).toMatch(
      /goes on with its old credentials, .*the new login does not see stream headwater; it may be of another account/,
    )
    await file('user.creds', two.creds)
    leap()
    await replaced(2)
    expect(edge.lines.slice(1)).toEqual([expect.stringMatching(/uses its new credentials/)])
    expect(await edge.readBack(address, { login })).toBeGreaterThan(100)
    for (const { seed } of [one, two, stranger]) expect(edge.said()).not.toContain(seed)
  })

  it('lets a user expire: it is said what to do, and what the file has then goes on', async () => {
    const accounts = new JwtAccounts()
    const { address } = await start({ config: accounts.config })
    const short = accounts.user({ until: Math.floor(Date.now() / 1000) + 2 })
    const login = { credsFile: await file('user.creds', short.creds) }
    await edge.start(edgeConfig(address, { login }))
    await until('it is refused', () => {
      if (edge.isLevel()) edge.append(1)
      return edge.lines.some((line) => line.includes('HW_UPSTREAM_AUTH'))
    })
    expect(edge.lines.at(-1)).toMatch(/check that the user in login\.credsFile has not expired/)
    const next = accounts.user()
    await file('user.creds', next.creds)
    await edge.replicate()
    expect(await edge.readBack(address, { login })).toBeGreaterThan(80)
    for (const { seed } of [short, next]) expect(edge.said()).not.toContain(seed)
  })
})
