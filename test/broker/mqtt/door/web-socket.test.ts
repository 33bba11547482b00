/** MQTT over WebSocket, with real sockets; what connects is answered with what it sent. */
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { HELD_EVENT } from '../../../../broker/mqtt/connection/frame-reader.ts'
import { until } from '../../log/support.ts'
import { authority, listen, sensor, WITH_CLIENTS, webSocket } from './listener-support.ts'

describe('WebSocket', () => {
  it.each(['mqtt', 'mqttv3.1'])('carries bytes both ways under the subprotocol %s', async (protocol) => {
    const { listener, port } = await listen({ webSocketPath: '/mqtt' })
    expect(listener.bound).toBe(`ws://127.0.0.1:${port}/mqtt`)
    const socket = webSocket(`ws://127.0.0.1:${port}/mqtt`, ['other', protocol])
    await once(socket, 'open')
    expect(socket.protocol).toBe(protocol)
    socket.send(Buffer.from('ping'))
    const [data, isBinary] = await once(socket, 'message')
    expect([String(data), isBinary]).toEqual(['ping', true])
  })

  it('over TLS has the name in the certificate', async () => {
    const { port, peers } = await listen({ tls: WITH_CLIENTS, webSocketPath: '/mqtt' })
    const { cert, key } = sensor
    const socket = webSocket(`wss://127.0.0.1:${port}/mqtt`, 'mqtt', { ca: authority.cert, cert, key })
    await once(socket, 'open')
    expect(peers).toMatchObject([{ identity: 'sensor-7', address: '127.0.0.1' }])
  })

  it.each([
    ['another path', '/other', ['mqtt'], 404],
    ['another subprotocol', '/mqtt', ['stomp'], 400],
    ['no subprotocol', '/mqtt', [], 400],
  ])('refuses %s [MQTT-6.0.0-3]', async (_what, path, protocols, status) => {
    const { port, peers, sink } = await listen({ webSocketPath: '/mqtt' })
    const socket = webSocket(`ws://127.0.0.1:${port}${path}`, protocols)
    const [, response] = await once(socket, 'unexpected-response')
    expect(response.statusCode).toBe(status)
    expect(peers).toEqual([])
    expect(JSON.stringify(sink)).toContain('WebSocket handshake failed')
  })

  it('ends a connection that sends text [MQTT-6.0.0-1], and hands none of it on', async () => {
    const received: string[] = []
    const { port } = await listen(
      { webSocketPath: '/mqtt' },
      { onConnection: (stream) => stream.on('data', (chunk) => received.push(String(chunk))) },
    )
    const socket = webSocket(`ws://127.0.0.1:${port}/mqtt`)
    await once(socket, 'open')
    socket.send(Buffer.from('bytes'))
    socket.send('text')
    const [code] = await once(socket, 'close')
    expect(code).toBe(1003)
    expect(received).toEqual(['bytes'])
  })

  it('ends a connection whose frame is too long', async () => {
    const { port } = await listen({ webSocketPath: '/mqtt' })
    const socket = webSocket(`ws://127.0.0.1:${port}/mqtt`)
    await once(socket, 'open')
    socket.send(Buffer.alloc(1001))
    const [code] = await once(socket, 'close')
    expect(code).toBe(1009)
  })

  it('ends a connection whose message comes in too many pieces', async () => {
    const { port } = await listen({ webSocketPath: '/mqtt' }, { frameBytesMax: 1_000_000 })
    const socket = webSocket(`ws://127.0.0.1:${port}/mqtt`)
    await once(socket, 'open')
    for (let piece = 0; piece < 1025; piece++) socket.send(Buffer.from('x'), { fin: false })
    const [code] = await once(socket, 'close')
    expect(code).toBe(1008)
  })

  it('tells what a message holds that is not whole, and that it holds nothing any more', async () => {
    const held: number[] = []
    const { port } = await listen(
      { webSocketPath: '/mqtt' },
      {
        frameBytesMax: 1_000_000,
        onConnection: (stream) => {
          stream.on(HELD_EVENT, (bytes: number) => held.push(bytes))
          stream.on('data', (chunk) => stream.write(chunk.subarray(0, 1)))
        },
      },
    )
    const socket = webSocket(`ws://127.0.0.1:${port}/mqtt`)
    await once(socket, 'open')
    // pings between the pieces are not part of it
    for (let piece = 0; piece < 10; piece++) {
      socket.send(Buffer.alloc(10_000, 'x'), { fin: false })
      for (let n = 0; n < 40; n++) {
        socket.ping(Buffer.alloc(120))
        await once(socket, 'pong')
      }
    }
    await until(() => (held.at(-1) ?? 0) >= 80_000, 'it tells what is held')
    expect(held.at(-1)).toBeLessThan(120_000)
    socket.send(Buffer.from('end'), { fin: true })
    await once(socket, 'message')
    expect(held.at(-1)).toBe(0)
  })

  it('is told to whoever speaks HTTP alone', async () => {
    const { port } = await listen({ webSocketPath: '/mqtt' })
    const response = await fetch(`http://127.0.0.1:${port}/mqtt`)
    expect(response.status).toBe(426)
  })

  it('holds its sender back while nobody reads', async () => {
    const streams: NodeJS.ReadableStream[] = []
    const { port } = await listen(
      { webSocketPath: '/mqtt' },
      { onConnection: (stream) => void streams.push(stream) },
    )
    const socket = webSocket(`ws://127.0.0.1:${port}/mqtt`)
    await once(socket, 'open')
    for (let i = 0; i < 100_000; i++) socket.send(Buffer.alloc(900))
    await until(() => streams.length === 1, 'it is there')
    const stream = streams[0]!
    let bytes = 0
    await new Promise((resolve) => setImmediate(resolve))
    expect(socket.bufferedAmount).toBeGreaterThan(1_000_000)
    stream.on('data', (chunk: Buffer) => {
      bytes += chunk.length
    })
    await until(() => bytes === 90_000_000, 'all of it comes')
  })
})
