/** A whole replication by each way to log in to a real nats-server, and the one line that is said when it refuses. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import type { ClockReading } from '../../../sync/clock-reading.ts'
import type { NatsUpstreamConfig } from '../../../sync/config.ts'
import { type Certificate, createAuthority, createCertificate } from '../../support/certificates.ts'
import { JwtAccounts } from '../../support/nats/jwt.ts'
import type { NatsServer } from '../../support/nats/server.ts'
import { describeWithNats } from '../../support/nats/vitest.ts'
import { refusal, secretFile } from '../kafka/security-setup.ts'
import { edgeConfig, NatsEdge } from './nats-edge.ts'

const DAY_MS = 86_400_000
const NAMES = ['127.0.0.1', 'nats.test']
const at = (days: number) => new Date(Date.now() + days * DAY_MS)

type Security = Partial<NatsUpstreamConfig>

describeWithNats('a NATS server that asks who is there', (start) => {
  let directory: string
  let authority: Certificate
  let server: Certificate
  const edges: NatsEdge[] = []
  const secrets: string[] = []
  const file = (name: string, text: string) => secretFile(directory, name, text)
  const secret = (text: string) => {
    secrets.push(text)
    return text
  }

  beforeAll(() => {
    authority = createAuthority('Plant Authority')
    server = createCertificate({ name: 'nats', names: NAMES, issuer: authority })
  })
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'headwater-nats-security-'))
    secrets.length = 0
  })
  afterEach(async () => {
    await Promise.all(edges.splice(0).map((edge) => edge.stop()))
    await rm(directory, { recursive: true })
  })

  /** A listener with TLS; with `clients` it asks for a certificate of that authority. */
  async function withTls(shown: Certificate = server, clients?: Certificate, more = ''): Promise<NatsServer> {
    const mutual =
      clients === undefined ? '' : `verify: true, ca_file: "${await file('clients.pem', clients.cert)}"`
    const certificate = `cert_file: "${await file('server.pem', shown.cert)}"`
    const key = `key_file: "${await file('server.key', shown.key)}"`
    return start({ config: `tls { ${certificate}, ${key}, ${mutual} }\n${more}` })
  }

  async function caFile(...authorities: Certificate[]): Promise<string> {
    return file(
      'ca.pem',
      (authorities.length === 0 ? [authority] : authorities).map(({ cert }) => cert).join(''),
    )
  }

  async function ownFiles(own: Certificate) {
    return {
      certFile: await file('edge.pem', own.cert),
      keyFile: await file('edge.key', secret(own.key)),
    }
  }

  /** Records in, the same records back, and no secret in anything that was said. */
  async function replicates(address: string, security: Security, env: NodeJS.ProcessEnv = {}): Promise<void> {
    const edge = new NatsEdge()
    edges.push(edge)
    await edge.start(edgeConfig(address, security), { env })
    await edge.replicate()
    await edge.replicate()
    expect(await edge.readBack(address, security, env)).toBe(160)
    expect(edge.lines).toEqual([])
    for (const text of secrets) expect(edge.said()).not.toContain(text)
    await edge.stop()
  }

  /** What is said when it refuses: one line, and no secret in any form of it. */
  async function refused(address: string, security: Security, deps: Parameters<typeof refusal>[1] = {}) {
    const { error, said } = await refusal(edgeConfig(address, security), deps)
    for (const text of secrets) expect(said).not.toContain(text)
    expect(error).toMatchObject({ retryable: true, slow: true })
    expect(error.line).not.toContain('\n')
    return error.line
  }

  it('takes records over TLS with a private authority, by the address or by another name', async () => {
    const { address } = await withTls()
    await replicates(address, { tls: { caFile: await caFile() } })
    await replicates(address, {
      tls: { caFile: await caFile(), serverName: 'nats.test' },
      subjectPrefix: 'named',
      stream: 'named',
    })
  })

  it('takes records from a client with a certificate, its key encrypted or not', async () => {
    const { address } = await withTls(server, authority)
    const own = createCertificate({ name: 'edge-a', issuer: authority })
    const tls = { caFile: await caFile(), ...(await ownFiles(own)) }
    await replicates(address, { tls })
    const passphrase = secret('key-pass-4711')
    const locked = own.privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase })
    const keyFile = await file('locked.key', locked.toString())
    const keyPasswordFile = await file('key.pass', `${passphrase}\n`)
    await replicates(address, {
      tls: { ...tls, keyFile, keyPasswordFile },
      stream: 'locked',
      subjectPrefix: 'locked',
    })
  })

  it('takes the user that a certificate names, and no other', async () => {
    const map = 'authorization { users = [ { user: "CN=edge-a" } ] }'
    const clients = await file('clients.pem', authority.cert)
    const files = `cert_file: "${await file('server.pem', server.cert)}", key_file: "${await file('server.key', server.key)}"`
    const { address } = await start({
      config: `tls { ${files}, ca_file: "${clients}", verify_and_map: true }\n${map}`,
    })
    const tls = async (name: string) => ({
      caFile: await caFile(),
      ...(await ownFiles(createCertificate({ name, issuer: authority }))),
    })
    await replicates(address, { tls: await tls('edge-a') })
    expect(await refused(address, { tls: await tls('edge-b') })).toMatch(
      /^HW_UPSTREAM_AUTH: NATS at 127\.0\.0\.1:\d+ refused this edge: .* - add login .* the user of its certificate$/,
    )
  })

  it('takes a user with a password, from a file or the environment, and says which field is wrong', async () => {
    const password = secret('right-password-4712')
    const { address } = await start({ config: `authorization { user: edge, password: "${password}" }` })
    const user = 'edge'
    await replicates(address, { login: { user, passwordFile: await file('password', `${password}\n`) } })
    await replicates(
      address,
      { login: { user, passwordEnv: 'PASSWORD' }, stream: 'env', subjectPrefix: 'env' },
      { PASSWORD: password },
    )
    const wrong = { user, passwordFile: await file('wrong', secret('wrong-password-4713')) }
    expect(await refused(address, { login: wrong })).toMatch(
      /^HW_UPSTREAM_AUTH: .* refused this edge: Authorization Violation - check login\.user and its password/,
    )
    expect(await refused(address, {})).toMatch(/^HW_UPSTREAM_AUTH: .* - add login to this upstream/)
    const none = { user, passwordEnv: 'NONE' }
    expect(await refused(address, { login: none })).toMatch(/^HW_UPSTREAM_SECRET: login\.passwordEnv NONE/)
  })

  it('takes a token, and an NKey, and refuses others', async () => {
    const token = secret('right-token-4714')
    const { address } = await start({ config: `authorization { token: "${token}" }` })
    await replicates(address, { login: { tokenFile: await file('token', token) } })
    expect(
      await refused(address, { login: { tokenFile: await file('token', secret('wrong-token')) } }),
    ).toMatch(/^HW_UPSTREAM_AUTH: .* - check login\.token/)
    const { nkeys } = await import('@nats-io/transport-node')
    const [pair, other] = [nkeys.createUser(), nkeys.createUser()]
    const seed = (of: typeof pair) => secret(Buffer.from(of.getSeed()).toString())
    const second = await start({ config: `authorization { users = [ { nkey: ${pair.getPublicKey()} } ] }` })
    await replicates(second.address, { login: { nkeyFile: await file('seed', `${seed(pair)}\n`) } })
    expect(await refused(second.address, { login: { nkeyFile: await file('seed', seed(other)) } })).toMatch(
      /^HW_UPSTREAM_AUTH: .* - have the servers know the public key of the seed/,
    )
  })

  it('does not repeat what it cannot read', async () => {
    const { nkeys } = await import('@nats-io/transport-node')
    const torn = secret(Buffer.from(nkeys.createUser().getSeed()).toString().slice(0, 20))
    const { address } = await start()
    for (const field of ['nkeyFile', 'credsFile']) {
      const line = await refused(address, { login: { [field]: await file('torn', torn) } })
      expect(line).toMatch(new RegExp(`^HW_UPSTREAM_AUTH: .*login\\.${field} does not hold what it should`))
    }
  })

  it('takes a credentials file, and not one that has expired, or is of another operator', async () => {
    const accounts = new JwtAccounts()
    const { address } = await start({ config: accounts.config })
    const login = async (creds: string) => ({ login: { credsFile: await file('user.creds', creds) } })
    const user = accounts.user()
    secret(user.seed)
    await replicates(address, await login(user.creds))
    const expired = accounts.user({ until: Math.floor(Date.now() / 1000) - 60 })
    const stranger = new JwtAccounts().user()
    for (const { creds, seed } of [expired, stranger]) {
      secret(seed)
      expect(await refused(address, await login(creds))).toMatch(
        /^HW_UPSTREAM_AUTH: .* - check that the user in login\.credsFile has not expired/,
      )
    }
  })

  it("shows a certificate that is not to be trusted: an authority, a name, a date, this device's clock, no TLS at all", async () => {
    const strange = createAuthority('Strange Authority')
    const signed = (options: object) =>
      createCertificate({ name: 'nats', names: NAMES, issuer: authority, ...options })
    const lineOf = async (shown: Certificate, security: Security = {}, clock?: Partial<ClockReading>) => {
      const { address, stop } = await startOne(shown)
      const readClock = () => ({ now: Date.now(), trust: 'ntp', evidence: 'NTP', ...clock }) as ClockReading
      const line = await refused(address, { tls: { caFile: await caFile() }, ...security }, { readClock })
      await stop()
      return line
    }
    const startOne = async (shown: Certificate) => {
      const one = await withTls(shown)
      return { address: one.address, stop: () => one.kill() }
    }
    expect(await lineOf(signed({ issuer: strange }))).toMatch(
      /^HW_UPSTREAM_TLS: .*its certificate is from an authority \(CN=Strange Authority\) that is not in tls\.caFile/,
    )
    // Also where its name is the one that Node looks for when it is given none.
    expect(await lineOf(signed({ names: ['localhost'] }))).toMatch(
      /^HW_UPSTREAM_TLS: .*not for 127\.0\.0\.1 but/,
    )
    expect(await lineOf(signed({ names: ['nats.example'] }))).toMatch(
      /^HW_UPSTREAM_TLS: .*tls\.serverName: nats\.example/,
    )
    expect(await lineOf(signed({ from: at(-9), until: at(-2) }))).toMatch(
      /^HW_UPSTREAM_TLS: .*its certificate expired on/,
    )
    const future = signed({ from: at(5), until: at(9) })
    expect(await lineOf(future)).toMatch(/^HW_UPSTREAM_TLS: .*its certificate is valid only from/)
    expect(await lineOf(future, {}, { trust: 'untrusted', evidence: 'never synchronized' })).toMatch(
      /^HW_UPSTREAM_CLOCK: .*this device's clock is wrong: it shows .*never synchronized/,
    )
    // It encrypts although nothing here says so, and its authority is not the system's.
    expect(await lineOf(server, { tls: undefined } as unknown as Security)).toMatch(
      /^HW_UPSTREAM_TLS: .*not among the system's - name the file .* tls\.caFile/,
    )
    const plain = await start()
    expect(await refused(plain.address, { tls: { caFile: await caFile() } })).toMatch(
      /^HW_UPSTREAM_TLS: .*that port does not speak TLS/,
    )
  })

  it("does not take this device's certificate: there is none, it is a stranger's, it has expired, its key is another's", async () => {
    const { address } = await withTls(server, authority)
    const tls = { caFile: await caFile() }
    const lineOf = async (own: Certificate) => refused(address, { tls: { ...tls, ...(await ownFiles(own)) } })
    expect(await refused(address, { tls })).toMatch(
      /^HW_UPSTREAM_CERTIFICATE: .*it asks for one and there is none/,
    )
    const stranger = createCertificate({ name: 'edge-a', issuer: createAuthority('Strange Authority') })
    expect(await lineOf(stranger)).toMatch(
      /^HW_UPSTREAM_CERTIFICATE: .*CN=edge-a from CN=Strange Authority, valid until \S+Z, was refused/,
    )
    const old = createCertificate({ name: 'edge-a', issuer: authority, from: at(-9), until: at(-2) })
    expect(await lineOf(old)).toMatch(/^HW_UPSTREAM_CERTIFICATE: .*it expired on/)
    const own = createCertificate({ name: 'edge-a', issuer: authority })
    expect(await lineOf({ ...own, key: old.key })).toMatch(
      /^HW_UPSTREAM_SECRET: tls\.keyFile .*it is not the key of the certificate in tls\.certFile/,
    )
  })
})
