import { type AddressInfo, createServer, type Socket } from 'node:net'
import { afterAll, expect, it } from 'vitest'
import type { NatsUpstreamConfig } from '../../../sync/config.ts'
import { createUpstream, UpstreamError } from '../../../sync/index.ts'
import { openWire, type WireOptions } from '../../../sync/nats/library-wire.ts'
import { freePort } from '../../support/kafka/ports.ts'
import { withStreams } from '../../support/nats/streams.ts'
import { describeWithNats } from '../../support/nats/vitest.ts'
import { MemoryLog, type TestRecord } from '../memory-log.ts'
import { roundFrom } from '../upstream-harness.ts'
import { natsConfig } from './open-nats.ts'

/** Recovers, sends what is given, and returns the error, or null. */
async function attempt(
  address: string,
  changes: Partial<NatsUpstreamConfig> = {},
  records: readonly TestRecord[] = [],
): Promise<UpstreamError | null> {
  const log = new MemoryLog().addStream('events', 1)
  const upstream = await createUpstream(natsConfig(address, changes))
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
