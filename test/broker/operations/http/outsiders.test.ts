/**
 * What other machines can do to the HTTP listener: hold its connections, flood it, send slowly, send much. The operator on this machine gets in all
 * the while. Other machines are other addresses of the loopback network here.
 */
import { connect, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { Places } from '../../../../broker/operations/http/places.ts'
import { until } from '../../log/support.ts'
import { type HttpTest, startHttpTest, type Wire } from './support.ts'

const OUTSIDE_MAX = 48
const PER_ADDRESS_MAX = 16
const quick = { headersMsMax: 60, requestMsMax: 120, checkMs: 20, keepAliveMs: 60_000, silentMsMax: 60_000 }

const sockets: Socket[] = []
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy()
})

/** As many as other machines may have, and all of them stay. */
async function fill(server: HttpTest): Promise<Wire[]> {
  const wires: Wire[] = []
  for (let i = 0; i < OUTSIDE_MAX; i++)
    wires.push(await server.open(`127.0.1.${1 + Math.floor(i / PER_ADDRESS_MAX)}`))
  await expectOperatorIn(server)
  expect(wires.some((wire) => wire.isClosed)).toBe(false)
  return wires
}

async function expectOperatorIn(server: HttpTest): Promise<void> {
  expect((await server.ask('/health/live')).status).toBe(200)
}

async function answered(wire: Wire): Promise<boolean> {
  wire.socket.write('GET /health/live HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n')
  await until(() => wire.isClosed || wire.text.includes('\r\n\r\n'), 'an answer or an end')
  return wire.text.startsWith('HTTP/1.1 200 ')
}

async function soon(what: string, is: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 10_000
  while (!(await is())) if (performance.now() > deadline) throw new Error(`it did not come true that ${what}`)
}

describe('connections of other machines', () => {
  it('one address has sixteen, all together forty-eight; one more is ended, and one that leaves gives its place to another', async () => {
    const server = await startHttpTest({ hasOutside: true })
    const first = await Promise.all(Array.from({ length: PER_ADDRESS_MAX }, () => server.open('127.0.1.1')))
    expect(await answered(first.at(-1)!)).toBe(true)
    expect(await answered(await server.open('127.0.1.1'))).toBe(false)
    const others: Wire[] = []
    for (let i = PER_ADDRESS_MAX; i < OUTSIDE_MAX; i++) others.push(await server.open(`127.0.2.${i}`))
    expect(await answered(others.at(-1)!)).toBe(true)
    expect(await answered(await server.open('127.0.3.1'))).toBe(false)
    first[0]!.socket.destroy()
    await soon('the place is free', async () => answered(await server.open('127.0.3.1')))
  })

  it('hold all their places, and the operator of this machine gets in, time after time', async () => {
    const server = await startHttpTest({ hasOutside: true })
    await fill(server)
    const own = await Promise.all(Array.from({ length: 10 }, () => server.ask('/health/live')))
    expect(own.map(({ status }) => status)).toEqual(Array(10).fill(200))
  })

  it('of one address come in a flood: neither the operator nor another machine is kept out by those that are turned away', async () => {
    const server = await startHttpTest({ hasOutside: true })
    for (let i = 0; i < PER_ADDRESS_MAX; i++) await server.open('127.0.1.1')
    await expectOperatorIn(server)
    const flood = () => {
      for (let i = 0; i < 60; i++) {
        const socket = connect({ port: server.port, host: '127.0.0.1', localAddress: '127.0.1.1' })
        socket.on('error', () => {})
        sockets.push(socket)
      }
    }
    // all of it waits in the listener's queue when it is looked at
    for (let round = 0; round < 5; round++) {
      flood()
      const asked = server.ask('/health/live')
      const other = server.open('127.0.2.1')
      flood()
      expect((await asked).status).toBe(200)
      expect(await answered(await other)).toBe(true)
    }
  })
})

describe('a client that sends slowly', () => {
  it.each([
    ['nothing', ''],
    ['half of a request line', 'GET /hea'],
    ['headers without an end', 'GET /health/live HTTP/1.1\r\nhost: 127.0.0.1\r\nx: '],
    [
      'a body without an end',
      'POST /api/v1/streams/events/compact HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{',
    ],
    [
      'a body in pieces without an end',
      'POST /api/v1/streams/events/compact HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n',
    ],
  ])('%s: is ended, and its place is free again', async (_, text) => {
    const server = await startHttpTest({ hasOutside: true, times: quick })
    const wires = await Promise.all(Array.from({ length: PER_ADDRESS_MAX }, () => server.open('127.0.1.1')))
    for (const { socket } of wires) socket.write(text)
    // a byte now and then keeps nobody in
    const drip = setInterval(() => {
      for (const { socket } of wires) socket.write('a')
    }, 15)
    try {
      for (const wire of wires) expect(await wire.ended()).not.toContain('HTTP/1.1 200 ')
    } finally {
      clearInterval(drip)
    }
    expect(await answered(await server.open('127.0.1.1'))).toBe(true)
  })

  it('that takes no answers is ended, too', async () => {
    const files = { 'index.html': Buffer.alloc(8_000_000, 'x') }
    const server = await startHttpTest({ hasOutside: true, files, times: { ...quick, silentMsMax: 100 } })
    for (let i = 0; i < PER_ADDRESS_MAX; i++) {
      const { socket } = await server.open('127.0.1.1')
      socket.pause()
      socket.write('GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n')
    }
    await soon('there is a place again', async () => answered(await server.open('127.0.1.1')))
  })
})

describe('a client that sends much', () => {
  it.each([
    ['one long header', `x: ${'y'.repeat(20_000)}\r\n`],
    ['many headers', Array.from({ length: 3000 }, (_, i) => `x-${i}: y\r\n`).join('')],
    ['headers without an end', `x: ${'y'.repeat(1_000_000)}`],
  ])('%s: 431, and the end', async (_, headers) => {
    const server = await startHttpTest({ hasOutside: true })
    const wire = await server.open('127.0.1.1')
    wire.socket.write(`GET /health/live HTTP/1.1\r\nhost: 127.0.0.1\r\n${headers}\r\n`)
    expect(await wire.ended()).toMatch(/^HTTP\/1\.1 431 /)
    await expectOperatorIn(server)
  })

  it('a long path: 431; a thousand requests at once: an end', async () => {
    const server = await startHttpTest({ hasOutside: true })
    const long = await server.open('127.0.1.1')
    long.socket.write(`GET /${'x'.repeat(20_000)} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n`)
    expect(await long.ended()).toMatch(/^HTTP\/1\.1 431 /)
    const many = await server.open('127.0.1.2')
    many.socket.write('GET /api/v1/status HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n'.repeat(1000))
    await many.ended()
    await expectOperatorIn(server)
  })
})

describe('places', () => {
  it('are this machine’s even where all of the others’ are taken, and each is given back once', () => {
    const places = new Places({ connectionsMax: 4, fromOutsideMax: 3, perAddressMax: 2 })
    const a = [places.take('192.0.2.1'), places.take('::ffff:192.0.2.1')]
    expect(a).not.toContain(null)
    expect(places.take('192.0.2.1')).toBeNull()
    expect(places.take('2001:db8::1')).not.toBeNull()
    expect(places.take('2001:db8:0:1::1')).toBeNull()
    const own = places.take('127.0.0.1')!
    expect(places.take('::1')).toBeNull()
    own()
    expect(places.take('::1')).not.toBeNull()
    a[0]!()
    expect(places.take('2001:db8::2')).not.toBeNull()
  })
})
