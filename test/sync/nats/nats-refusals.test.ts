/** Servers and streams that refuse: each one clear line that says what to do, and shows no secret. */
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { NatsUpstreamConfig } from '../../../sync/config.ts'
import { createUpstream, UpstreamError } from '../../../sync/index.ts'
import { openWire, type WireOptions } from '../../../sync/nats/library-wire.ts'
import { freePort } from '../../support/kafka/ports.ts'
import { describeWithNats } from '../../support/nats/vitest.ts'
import { MemoryLog, type TestRecord } from '../memory-log.ts'
import { roundFrom } from '../upstream-contract.ts'
import { natsConfig } from './open-nats.ts'

const run = promisify(execFile)

/** Recovers, sends what is given, and returns the error, or null. */
async function attempt(
  address: string,
  changes: Partial<NatsUpstreamConfig> = {},
  records: readonly TestRecord[] = [],
  env: NodeJS.ProcessEnv = {},
): Promise<UpstreamError | null> {
  const log = new MemoryLog().addStream('events', 1)
  const upstream = await createUpstream(natsConfig(address, changes), { env })
  try {
    await upstream.recover(log.identity, log.partitions())
    if (records.length > 0) log.append('events', 0, records)
    if (records.length > 0) await upstream.send(roundFrom(log, new Map()))
    return null
  } catch (error) {
    if (!(error instanceof UpstreamError)) throw error
    expect(error.line).not.toContain('\n')
    expect(error.line.length).toBeLessThan(600)
    return error
  } finally {
    await upstream.close()
  }
}

async function withStreams(
  address: string,
  act: (streams: Streams) => Promise<unknown>,
  login: { user?: string; pass?: string } = {},
): Promise<void> {
  const { connect } = await import('@nats-io/transport-node')
  const { jetstreamManager } = await import('@nats-io/jetstream')
  const connection = await connect({ servers: address, ...login })
  try {
    await act((await jetstreamManager(connection)).streams)
  } finally {
    await connection.close()
  }
}
type Streams = Awaited<ReturnType<typeof import('@nats-io/jetstream').jetstreamManager>>['streams']

const ONE = [{ value: 'one' }]

function wireOptions(address: string): WireOptions {
  const rest = { domain: null, inboxPrefix: '_INBOX', login: null, tls: null }
  return { server: address, clientName: 'test', connectMs: 5000, requestMs: 5000, ...rest }
}

describeWithNats('a NATS server that refuses', (start) => {
  const silent = createServer()
  afterAll(() => void silent.close())

  it('is not there', async () => {
    const error = await attempt(`127.0.0.1:${await freePort()}`)
    expect(error).toMatchObject({ code: 'HW_UPSTREAM_UNREACHABLE', retryable: true })
    expect(error!.message).toContain('connection refused')
    const name = await attempt('no-such-host.invalid:4222')
    expect(name).toMatchObject({ code: 'HW_UPSTREAM_UNREACHABLE', retryable: true })
    expect(name!.message).toContain('cannot be resolved')
  })

  it('takes the connection and says nothing: it is given up, and no socket stays open', async () => {
    const sockets: Socket[] = []
    const closed = new Promise<void>((resolve) => {
      silent.on('connection', (socket) => {
        sockets.push(socket)
        socket.on('error', () => {})
        socket.on('close', resolve)
        socket.resume()
      })
    })
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    const address = `127.0.0.1:${(silent.address() as AddressInfo).port}`
    const wire = openWire({ ...wireOptions(address), connectMs: 200 })
    await expect(wire).rejects.toMatchObject({ fault: 'timeout' })
    await closed
    expect(sockets).toHaveLength(1)
  })

  it('is found where one of several addresses answers', async () => {
    const { address } = await start()
    const away = await Promise.all([1, 2, 3].map(async () => `127.0.0.1:${await freePort()}`))
    expect(await attempt('', { servers: [...away, address] }, ONE)).toBeNull()
  })

  it('has no JetStream', async () => {
    const { address } = await start({ jetstream: null })
    const error = await attempt(address)
    expect(error).toMatchObject({ code: 'HW_JETSTREAM_OFF', retryable: true, slow: true })
    expect(error!.hint).toContain('jetstream {}')
  })

  it('has no such stream, and the line has the command that creates it', async () => {
    const { address } = await start()
    const error = await attempt(address, { createStream: false })
    expect(error).toMatchObject({ code: 'HW_NATS_STREAM_MISSING', retryable: true, slow: true })
    expect(error!.hint).toContain("nats stream add headwater --subjects='headwater.*.*.*' --retention=limits")
    expect(await attempt(address)).toBeNull()
    expect(await attempt(address, { createStream: false }, ONE)).toBeNull()
  })

  it('has a stream that does not take the subject, or whose messages go when consumers took them', async () => {
    const { address } = await start()
    await withStreams(address, async (streams) => {
      await streams.add({ name: 'other', subjects: ['other.>'] })
      await streams.add({ name: 'queue', subjects: ['headwater.>'], retention: 'workqueue' })
    })
    const uncovered = await attempt(address, { stream: 'other' })
    expect(uncovered).toMatchObject({ code: 'HW_NATS_STREAM_UNSUITABLE', retryable: true, slow: true })
    expect(uncovered!.hint).toContain("nats stream edit other --subjects='other.>,headwater.*.*.*'")
    const queue = await attempt(address, { stream: 'queue' })
    expect(queue).toMatchObject({ code: 'HW_NATS_STREAM_UNSUITABLE' })
    expect(queue!.message).toContain('retention is workqueue')
    const overlap = await attempt(address)
    expect(overlap).toMatchObject({ code: 'HW_NATS_STREAM_UNSUITABLE' })
    expect(overlap!.message).toContain('cannot be created')
  })

  it('is full, and discards what is new', async () => {
    const { address } = await start()
    await withStreams(address, (streams) =>
      streams.add({ name: 'headwater', subjects: ['headwater.>'], discard: 'new', max_bytes: 2000 }),
    )
    const error = await attempt(address, {}, [{ value: 'x'.repeat(4000) }])
    expect(error).toMatchObject({ code: 'HW_NATS_STREAM_FULL', retryable: true, slow: true })
    expect(error!.hint).toContain('--discard=old')
  })

  it('takes no message of a record that is larger than max_payload, or max_msg_size; smaller ones go', async () => {
    const { address } = await start({ config: 'max_payload: 4096' })
    const small = Array.from({ length: 200 }, () => ({ value: 'x'.repeat(100) }))
    expect(await attempt(address, {}, small)).toBeNull()
    await withStreams(address, (streams) => streams.purge('headwater'))
    const error = await attempt(address, {}, [{ value: 'x'.repeat(5000) }])
    expect(error).toMatchObject({ code: 'HW_NATS_RECORD_TOO_LARGE', retryable: true, slow: true })
    expect(error!.message).toContain('events/0 at offset 0')
    await withStreams(address, (streams) => streams.update('headwater', { max_msg_size: 2000 }))
    const ofStream = await attempt(address, { subjectPrefix: 'headwater' }, [{ value: 'x'.repeat(2100) }])
    expect(ofStream).toMatchObject({ code: 'HW_NATS_RECORD_TOO_LARGE' })
  })

  it('does not permit, and the line names all permissions that are needed', async () => {
    const users = (publish: string) =>
      `authorization { users = [
        { user: admin, password: adminpass }
        { user: edge, password: edgepass,
          permissions: { publish: ${publish}, subscribe: ["_INBOX.>"] } } ] }`
    const server = await start({ config: users('["$JS.API.STREAM.INFO.headwater"]') })
    const admin = { user: 'admin', pass: 'adminpass' }
    await withStreams(
      server.address,
      (streams) => streams.add({ name: 'headwater', subjects: ['headwater.>'] }),
      admin,
    )
    const login = { user: 'edge', password: 'edgepass' }
    const error = await attempt(server.address, { createStream: false, login }, ONE)
    expect(error).toMatchObject({ code: 'HW_NATS_NOT_ALLOWED', retryable: true, slow: true })
    const needed = ['headwater.edge-a.>', '$JS.API.STREAM.INFO.headwater', '$JS.API.STREAM.MSG.GET.headwater']
    for (const subject of needed) expect(error!.hint).toContain(subject)
    // What the line says is enough.
    await server.kill()
    await server.configure({ config: users(JSON.stringify(needed)) })
    await server.start()
    expect(await attempt(server.address, { createStream: false, login }, ONE)).toBeNull()
  })
})

describeWithNats('logging in to NATS', (start) => {
  let directory = ''
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'headwater-nats-login-'))
  })
  afterAll(() => rm(directory, { recursive: true, force: true }))
  const fileWith = async (name: string, text: string) => {
    await writeFile(join(directory, name), text)
    return join(directory, name)
  }

  it('takes user and password, and a token, from a file, the environment, or the configuration', async () => {
    const user = 'edge'
    const { address } = await start({ config: 'authorization { user: edge, password: "right-secret" }' })
    const passwordFile = await fileWith('password', 'right-secret\n')
    expect(await attempt(address, { login: { user, password: 'right-secret' } })).toBeNull()
    expect(await attempt(address, { login: { user, passwordFile } })).toBeNull()
    const env = { NATS_PASSWORD: 'right-secret' }
    expect(await attempt(address, { login: { user, passwordEnv: 'NATS_PASSWORD' } }, [], env)).toBeNull()
    const { address: second } = await start({ config: 'authorization { token: "token-secret" }' })
    expect(await attempt(second, { login: { token: 'token-secret' } })).toBeNull()
    for (const [where, login] of [
      [address, { user, password: 'wrong-secret' }],
      [second, { token: 'wrong-secret' }],
    ] as const) {
      const error = await attempt(where, { login })
      expect(error).toMatchObject({ code: 'HW_UPSTREAM_AUTH', retryable: true, slow: true })
      expect(error!.hint).toContain('check login')
      expect(JSON.stringify(error) + error!.line).not.toContain('wrong-secret')
    }
    expect(await attempt(address)).toMatchObject({ code: 'HW_UPSTREAM_AUTH' })
    expect(await attempt(address, { login: { user, passwordEnv: 'NONE' } })).toMatchObject({
      code: 'HW_UPSTREAM_SECRET',
    })
  })

  it('takes an NKey, and does not repeat what it cannot read', async () => {
    const { nkeys } = await import('@nats-io/transport-node')
    const pair = nkeys.createUser()
    const seed = Buffer.from(pair.getSeed()).toString()
    const { address } = await start({
      config: `authorization { users = [ { nkey: ${pair.getPublicKey()} } ] }`,
    })
    expect(await attempt(address, { login: { nkeyFile: await fileWith('seed', `${seed}\n`) } })).toBeNull()
    const other = Buffer.from(nkeys.createUser().getSeed()).toString()
    const refused = await attempt(address, { login: { nkeyFile: await fileWith('other', other) } })
    expect(refused).toMatchObject({ code: 'HW_UPSTREAM_AUTH' })
    const torn = seed.slice(0, 20)
    for (const key of ['nkeyFile', 'credsFile']) {
      const error = await attempt(address, { login: { [key]: await fileWith('torn', torn) } })
      expect(error).toMatchObject({ code: 'HW_UPSTREAM_AUTH', retryable: true })
      expect(error!.message).toContain(`login.${key}`)
      expect(JSON.stringify(error) + error!.line).not.toContain(torn)
    }
  })

  it('takes a credentials file', async () => {
    const { nkeys } = await import('@nats-io/transport-node')
    const [operator, user] = [nkeys.createOperator(), nkeys.createUser()]
    const [account, system] = [nkeys.createAccount(), nkeys.createAccount()]
    const jwt = (issuer: typeof operator, subject: string, name: string, nats: Record<string, unknown>) => {
      const text = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
      const head = text({ typ: 'JWT', alg: 'ed25519-nkey' })
      const iat = Math.floor(Date.now() / 1000)
      const body = text({ jti: name, iat, iss: issuer.getPublicKey(), name, sub: subject, nats })
      const signature = issuer.sign(Buffer.from(`${head}.${body}`))
      return `${head}.${body}.${Buffer.from(signature).toString('base64url')}`
    }
    const none = {
      subs: -1,
      conn: -1,
      leaf: -1,
      imports: -1,
      exports: -1,
      data: -1,
      payload: -1,
      wildcards: true,
    }
    const limits = { ...none, mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 }
    const operatorJwt = jwt(operator, operator.getPublicKey(), 'op', { type: 'operator', version: 2 })
    const preload = [account, system].map((pair) => {
      // The system account may not have JetStream.
      const own = pair === account ? limits : none
      const text = jwt(operator, pair.getPublicKey(), 'acc', { limits: own, type: 'account', version: 2 })
      return `${pair.getPublicKey()}: "${text}"`
    })
    const userJwt = jwt(account, user.getPublicKey(), 'edge', {
      subs: -1,
      data: -1,
      payload: -1,
      type: 'user',
      version: 2,
    })
    const { address } = await start({
      config: `operator: "${operatorJwt}"
        system_account: ${system.getPublicKey()}
        resolver: MEMORY
        resolver_preload: { ${preload.join('\n')} }`,
    })
    const seed = Buffer.from(user.getSeed()).toString()
    const creds = `-----BEGIN NATS USER JWT-----\n${userJwt}\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n${seed}\n------END USER NKEY SEED------\n`
    expect(
      await attempt(address, { login: { credsFile: await fileWith('user.creds', creds) } }, ONE),
    ).toBeNull()
  })

  it('goes over TLS to a server whose certificate is known, and nowhere else', async () => {
    const key = join(directory, 'key.pem')
    const cert = join(directory, 'cert.pem')
    const made = await run('openssl', [
      ...[
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:prime256v1',
        '-nodes',
        '-days',
        '2',
      ],
      ...['-keyout', key, '-out', cert, '-subj', '/CN=nats.test', '-addext', 'subjectAltName=DNS:nats.test'],
    ]).catch(() => null)
    if (made === null) return expect(process.env.CI, 'this test needs openssl').toBeUndefined()
    const { address } = await start({ config: `tls { cert_file: "${cert}", key_file: "${key}" }` })
    expect(await attempt(address, { tls: { caFile: cert, serverName: 'nats.test' } }, ONE)).toBeNull()
    for (const tls of [{ serverName: 'nats.test' }, { caFile: cert, serverName: 'other.test' }]) {
      const error = await attempt(address, { tls })
      expect(error).toMatchObject({ code: 'HW_UPSTREAM_TLS', retryable: true, slow: true })
    }
    const { address: plain } = await start()
    expect(await attempt(plain, { tls: { caFile: cert } })).toMatchObject({ code: 'HW_UPSTREAM_TLS' })
  })
})
