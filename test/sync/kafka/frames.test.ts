import { createConnection, createServer, type Server, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { Frames } from '../../../sync/kafka/frames.ts'

const servers: Server[] = []
afterEach(() => {
  for (const server of servers.splice(0)) server.close()
})

/** A client's socket with the library's listener on it, and the server's side. */
async function pair() {
  let accept = (_: Socket) => {}
  const accepted = new Promise<Socket>((resolve) => {
    accept = resolve
  })
  const server = createServer((socket) => accept(socket))
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const client = createConnection((server.address() as { port: number }).port, '127.0.0.1')
  client.on('error', () => {})
  const far = await accepted
  const theirs: Buffer[] = []
  client.on('data', (chunk: Buffer) => theirs.push(Buffer.from(chunk)))
  const received: Buffer[] = []
  far.on('data', (chunk) => received.push(chunk))
  return { client, far, theirs, received: () => Buffer.concat(received) }
}

function frame(correlation: number, body: string, tagged = true): Buffer {
  const rest = Buffer.concat([Buffer.alloc(tagged ? 1 : 0), Buffer.from(body)])
  const bytes = Buffer.alloc(8 + rest.length)
  bytes.writeInt32BE(4 + rest.length, 0)
  bytes.writeInt32BE(correlation, 4)
  rest.copy(bytes, 8)
  return bytes
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 500 && !condition(); i++) await new Promise((resolve) => setTimeout(resolve, 2))
  expect(condition()).toBe(true)
}

describe('frames on a connection of the library', () => {
  it('carry a request in pieces, with the head that Kafka asks for', async () => {
    const { client, far, received } = await pair()
    const frames = new Frames(client, 'me', 1000)
    const pieces = [Buffer.from('ab'), Buffer.alloc(10_000, 7), Buffer.from('c'), Buffer.alloc(5000, 8)]
    const answer = frames.request(0, 9, pieces)
    const body = Buffer.concat(pieces)
    await until(() => received().length === 17 + body.length)
    const sent = received()
    expect(sent.readInt32BE(0)).toBe(sent.length - 4)
    expect([sent.readInt16BE(4), sent.readInt16BE(6), sent.readInt16BE(12)]).toEqual([0, 9, 2])
    expect(sent.toString('latin1', 14, 17)).toBe('me\0')
    expect(sent.subarray(17).equals(body)).toBe(true)
    far.write(frame(sent.readInt32BE(8), 'done'))
    expect((await answer).toString()).toBe('done')
    client.destroy()
  })

  it('take their answers out of the stream and leave the others to the library, cut anywhere', async () => {
    const first = 2 ** 30
    const stream = [
      frame(first + 1, 'two'),
      frame(7, 'theirs', false),
      frame(first, 'one'),
      frame(8, '', false),
    ]
    const bytes = Buffer.concat(stream)
    for (let cut = 1; cut < bytes.length; cut += 3) {
      const { client, far, theirs } = await pair()
      const frames = new Frames(client, 'me', 1000)
      const answers = Promise.all([frames.request(0, 9, []), frames.request(0, 9, [])])
      far.setNoDelay(true)
      far.write(bytes.subarray(0, cut))
      await new Promise((resolve) => setTimeout(resolve, 2))
      far.write(bytes.subarray(cut))
      expect((await answers).map(String)).toEqual(['one', 'two'])
      await until(() => theirs.length === 2)
      expect(theirs).toEqual([stream[1], stream[3]])
      client.destroy()
    }
  })

  it('fail when the connection closes, when no answer comes in time, and when it is not an answer', async () => {
    const closing = await pair()
    const frames = new Frames(closing.client, 'me', 1000)
    const waiting = frames.request(0, 9, [])
    closing.far.destroy()
    await expect(waiting).rejects.toThrow('closed')
    await expect(frames.request(0, 9, [])).rejects.toThrow('closed')

    const silent = await pair()
    await expect(new Frames(silent.client, 'me', 20).request(0, 9, [])).rejects.toThrow('timed out')
    silent.far.write(frame(2 ** 30, 'too late'))
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(silent.theirs).toEqual([])
    silent.client.destroy()

    const strange = await pair()
    const answer = new Frames(strange.client, 'me', 1000).request(0, 9, [])
    strange.far.write(Buffer.from('HTTP/1.1 400'))
    await expect(answer).rejects.toThrow('closed')
  })
})
