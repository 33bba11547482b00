/** The addresses that clients connect to, with real sockets; what connects is answered with what it sent. */
import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { describe, expect, it } from 'vitest'
import { ListenError } from '../../../../broker/errors.ts'
import { Listener, type ListenerOptions } from '../../../../broker/mqtt/door/listener.ts'
import { Listeners } from '../../../../broker/mqtt/door/listeners.ts'
import { createAuthority, createCertificate } from '../../../support/certificates.ts'
import { RecordingSink, until } from '../../log/support.ts'
import {
  authority,
  closed,
  closers,
  devices,
  echo,
  filesOf,
  LOOPBACK,
  listen,
  raw,
  sensor,
  server,
  stranger,
  TLS,
  tls,
  WITH_CLIENTS,
} from './listener-support.ts'
import { filesDisk } from './support.ts'

describe('TLS', () => {
  it('gives a stream, and names where it listens', async () => {
    const { listener, port, peers } = await listen({ tls: TLS })
    expect(listener.bound).toBe(`mqtts://127.0.0.1:${port}`)
    expect(await echo(await tls(port))).toBe('ping')
    expect(peers).toEqual([
      { address: '127.0.0.1', port: expect.any(Number), listener: listener.bound, identity: null },
    ])
  })

  it('takes the name of the client from its certificate, where the authorities vouch for it', async () => {
    const { port, peers } = await listen({ tls: WITH_CLIENTS })
    expect(await echo(await tls(port, { cert: sensor.cert, key: sensor.key }))).toBe('ping')
    expect(peers.map(({ identity }) => identity)).toEqual(['sensor-7'])
  })

  const dated = (from: string, until: string) => {
    const dates = { from: new Date(from), until: new Date(until) }
    const { cert, key } = createCertificate({ name: 'sensor-7', issuer: devices, ...dates })
    return { cert, key }
  }
  const UNKNOWN = 'its certificate is of an authority that is not in clientCaFile'
  it.each([
    ['without a certificate', {}, 'it gave no certificate, and clientCaFile asks for one'],
    ['with one of another authority', { cert: stranger.cert, key: stranger.key }, UNKNOWN],
    ['with one that has expired', dated('2020-01-01', '2021-01-01'), 'its certificate has expired'],
    [
      'with one that is not valid yet',
      dated('2300-01-01', '2301-01-01'),
      'its certificate is not valid yet, by the clock of this machine',
    ],
    [
      "that does not know the broker's authority",
      { ca: devices.cert },
      // Node's own clients say no more
      'it ended the connection',
    ],
  ])('refuses a client %s where one is required, and says why in words', async (_what, options, fault) => {
    const { port, peers, sink } = await listen({ tls: WITH_CLIENTS })
    const socket = connectTls({ host: '127.0.0.1', port, ca: authority.cert, ...options })
    await closed(socket)
    await until(() => sink.matching('refused a connection').length > 0, 'it is logged')
    const reason = `its TLS handshake failed: ${fault}`
    expect(sink.lines.map(({ fields }) => fields)).toEqual([{ from: '127.0.0.1', reason }])
    expect(peers).toEqual([])
  })

  it.each([
    ['MQTT', Buffer.from('\x10\x0e\0\x04MQTT\x04\x02\0\0\0\x02c1'), 'it does not speak TLS'],
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\n\r\n'), 'it speaks HTTP without TLS'],
  ])('refuses %s without TLS, and says so', async (_what, bytes, fault) => {
    const { port, sink } = await listen({ tls: TLS })
    const socket = raw(port)
    socket.write(bytes)
    await closed(socket)
    await until(() => sink.matching('refused a connection').length > 0, 'it is logged')
    expect(sink.lines[0]!.fields.reason).toBe(`its TLS handshake failed: ${fault}`)
  })

  it('leaves a client nameless whose certificate nobody vouches for, where one is only asked for', async () => {
    const { port, peers } = await listen({ tls: { ...WITH_CLIENTS, requiresClientCertificate: false } })
    for (const options of [
      {},
      { cert: stranger.cert, key: stranger.key },
      { cert: sensor.cert, key: sensor.key },
    ])
      expect(await echo(await tls(port, options))).toBe('ping')
    expect(peers.map(({ identity }) => identity)).toEqual([null, null, 'sensor-7'])
  })

  it('takes a new certificate from the files; open connections go on', async () => {
    const { listener, files, port, sink } = await listen({ tls: TLS })
    const before = await tls(port)
    const renewed = createCertificate({ name: 'broker', names: ['127.0.0.1'], issuer: authority })
    for (const [name, bytes] of filesOf(renewed)) files.set(name, bytes)
    await listener.renew()
    const after = await tls(port)
    expect(before.getPeerCertificate().serialNumber).toBe(server.x509.serialNumber)
    expect(after.getPeerCertificate().serialNumber).toBe(renewed.x509.serialNumber)
    expect([await echo(before), await echo(after)]).toEqual(['ping', 'ping'])
    expect(JSON.stringify(sink)).toContain('a listener has new certificates')
  })

  it('keeps its certificate where the new one does not fit its key, or is gone', async () => {
    const { listener, files, port, sink } = await listen({ tls: TLS })
    files.set('/crt', Buffer.from(sensor.cert))
    await listener.renew()
    expect(JSON.stringify(sink)).toContain('keeps its old certificates')
    files.delete('/crt')
    await listener.renew()
    expect((await tls(port)).getPeerCertificate().serialNumber).toBe(server.x509.serialNumber)
  })

  it('vouches for a client as long as the authority at the end of its chain is in the file', async () => {
    let changes = 0
    const { listener, files, port, peers } = await listen(
      { tls: WITH_CLIENTS },
      { onAuthorities: () => changes++ },
    )
    const line = createAuthority('line 1', { issuer: devices })
    const below = createCertificate({ name: 'sensor-8', issuer: line })
    await echo(await tls(port, { cert: sensor.cert, key: sensor.key }))
    await echo(await tls(port, { cert: below.cert + line.cert, key: below.key }))
    const vouched = () => peers.map(({ isVouchedFor }) => isVouchedFor!())
    expect(vouched()).toEqual([true, true])
    const next = createAuthority('next')
    files.set('/ca', Buffer.from(`another one\n${next.cert}${devices.cert}`))
    await listener.renew()
    expect(vouched(), 'one is added').toEqual([true, true])
    files.set('/ca', Buffer.from(next.cert))
    await listener.renew()
    expect(vouched()).toEqual([false, false])
    expect(changes).toBe(2)
  })

  it.each(['TLSv1.2', 'TLSv1.3'] as const)(
    'vouches for a client that resumes its session of %s, until its authority is gone',
    async (maxVersion) => {
      const { listener, files, port, peers } = await listen({ tls: WITH_CLIENTS })
      const certificate = { cert: sensor.cert, key: sensor.key, maxVersion }
      const first = await tls(port, certificate)
      await echo(first)
      const again = await tls(port, { ...certificate, session: first.getSession()! })
      await echo(again)
      expect(again.isSessionReused()).toBe(true)
      expect(peers.map(({ identity, isVouchedFor }) => [identity, isVouchedFor?.()])).toEqual([
        ['sensor-7', true],
        ['sensor-7', true],
      ])
      files.set('/ca', Buffer.from(createAuthority('next').cert))
      await listener.renew()
      const socket = connectTls({
        host: '127.0.0.1',
        port,
        ca: authority.cert,
        ...certificate,
        session: again.getSession()!,
      })
      await closed(socket)
      expect(peers).toHaveLength(2)
    },
  )

  it('does not start without its files, and says which', async () => {
    const parts = { log: new RecordingSink(), frameBytesMax: 1000, onConnection() {} }
    const start = (files: Map<string, Buffer>) =>
      new Listener(
        { address: LOOPBACK, tls: TLS, webSocketPath: null },
        { disk: filesDisk(files), ...parts },
      ).listen()
    await expect(start(new Map())).rejects.toThrow(ListenError)
    await expect(start(new Map())).rejects.toThrow('the certificate /crt is not there')
    await expect(start(filesOf().set('/key', Buffer.from(sensor.key)))).rejects.toThrow('cannot be used')
  })
})

describe('a handshake', () => {
  it.each([
    ['TLS', { tls: TLS }],
    ['WebSocket', { webSocketPath: '/mqtt' }],
  ])('of %s that does not end in time is ended, and others are served meanwhile', async (_what, options) => {
    const { port, sink } = await listen(options, { handshakeMsMax: 300 })
    const slow = raw(port)
    await once(slow, 'connect')
    slow.write('G')
    if ('tls' in options) expect(await echo(await tls(port))).toBe('ping')
    await once(slow, 'close')
    await until(() => /took too long|handshake failed/.test(JSON.stringify(sink)), 'it is logged')
  })

  it.each([
    ['TCP', {}],
    ['TLS', { tls: TLS }],
    ['WebSocket', { webSocketPath: '/mqtt' }],
    ['secure WebSocket', { tls: TLS, webSocketPath: '/mqtt' }],
  ])('of %s does not begin where its address is refused', async (_what, options) => {
    const asked: string[] = []
    const refuses = (address: string) => (asked.push(address) > 1 ? 'too soon' : null)
    const { port, peers, sink } = await listen(options, { refuses })
    const greeting = 'webSocketPath' in options ? 'GET / HTTP/1.1\r\n\r\n' : 'ping'
    const first = 'tls' in options ? await tls(port) : raw(port)
    first.write(greeting)
    await once(first, 'data')
    const second = raw(port)
    let bytes = 0
    second.on('data', (chunk) => (bytes += chunk.length))
    await closed(second)
    expect(bytes).toBe(0)
    expect(asked).toEqual(['127.0.0.1', '127.0.0.1'])
    expect(peers).toHaveLength('webSocketPath' in options ? 0 : 1)
    expect(sink.lines, 'whoever refuses says so').toEqual([])
  })

  it('is one of a bounded number', async () => {
    const { port, sink } = await listen({ tls: TLS }, { arrivingMax: 2 })
    const waiting = [raw(port), raw(port)]
    await Promise.all(waiting.map((socket) => once(socket, 'connect')))
    const third = raw(port)
    await once(third, 'close')
    expect(JSON.stringify(sink)).toContain('2 others are in their handshake')
    waiting[0]!.destroy()
    let hasRoom = false
    while (!hasRoom) {
      const socket = connectTls({ host: '127.0.0.1', port, ca: authority.cert })
      const greeted = new Promise<boolean>((resolve) => socket.once('secureConnect', () => resolve(true)))
      hasRoom = await Promise.race([greeted, closed(socket).then(() => false)])
      socket.destroy()
    }
  })

  it('that is under way does not keep a listener from closing', async () => {
    const { listener, port } = await listen({ tls: TLS })
    const socket = raw(port)
    await once(socket, 'connect')
    await listener.close()
  })
})

/**
 * Once HTTP has handed a socket over nobody read it any more: the broker did not see a client go whose handshake it had refused, and so many such
 * sockets stayed that a listener could not close. `npm run test:hostile` found it.
 */
it('a WebSocket handshake that is refused ends its connection, also where the client does not', async () => {
  const { port } = await listen({ webSocketPath: '/mqtt' }, { handshakeMsMax: 60_000 })
  const client = connectTcp({ port, host: '127.0.0.1', allowHalfOpen: true })
  closers.push(() => client.destroy())
  const isClosed = closed(client)
  client.write('GET /other HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
  client.resume()
  await once(client, 'end')
  const more = setInterval(() => client.write('x'), 5)
  closers.push(() => clearInterval(more))
  await isClosed
})

describe('listeners', () => {
  it('that other machines reach without a certificate are told', () => {
    const at = (host: string | null) => ({ host, port: 1883 })
    const options: ListenerOptions[] = [
      { address: at('127.0.0.1'), tls: null, webSocketPath: null },
      { address: at('::1'), tls: null, webSocketPath: null },
      { address: at(null), tls: null, webSocketPath: null },
      { address: at('0.0.0.0'), tls: WITH_CLIENTS, webSocketPath: null },
      {
        address: at('10.0.0.1'),
        tls: { ...WITH_CLIENTS, requiresClientCertificate: false },
        webSocketPath: null,
      },
    ]
    const parts = {
      disk: filesDisk(new Map()),
      log: new RecordingSink(),
      frameBytesMax: 1,
      onConnection() {},
    }
    expect(new Listeners(options, parts).exposed()).toHaveLength(2)
  })

  it('are none where one cannot be', async () => {
    const { port } = await listen({})
    const parts = {
      disk: filesDisk(new Map()),
      log: new RecordingSink(),
      frameBytesMax: 1,
      onConnection() {},
    }
    const plain = { tls: null, webSocketPath: null }
    const listeners = new Listeners(
      [
        { address: LOOPBACK, ...plain },
        { address: { ...LOOPBACK, port }, ...plain },
      ],
      parts,
    )
    await expect(listeners.listen()).rejects.toThrow(`127.0.0.1:${port}: the port is in use`)
  })
})
