import { createServer, type Server } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { probeListener } from '../../../sync/kafka/listener-probe.ts'
import { playLives } from '../../support/random.ts'

const servers: Server[] = []
afterEach(() => {
  for (const server of servers.splice(0)) server.close()
})

/** Answers whatever comes with these bytes, in two pieces, and ends. */
async function answering(bytes: Buffer) {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', () => {
      socket.write(bytes.subarray(0, 5))
      setImmediate(() => socket.end(bytes.subarray(5)))
    })
  })
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { host: '127.0.0.1', port: (server.address() as { port: number }).port }
}

/** response := bytes:int32 correlation:int32 error:int16 count:int32 (nameBytes:int16 name)* */
function response(error: number, names: readonly string[]): Buffer {
  const text = names.map((name) => Buffer.concat([Buffer.from([0, name.length]), Buffer.from(name)]))
  const head = Buffer.alloc(14)
  head.writeInt32BE(1, 4)
  head.writeInt16BE(error, 8)
  head.writeInt32BE(names.length, 10)
  const whole = Buffer.concat([head, ...text])
  whole.writeInt32BE(whole.length - 4, 0)
  return whole
}

describe('the probe of a listener', () => {
  it('reads the mechanisms that it asks for, or that it asks for no login', async () => {
    const both = response(33, ['PLAIN', 'SCRAM-SHA-512'])
    expect(await probeListener(await answering(both), null)).toEqual({
      mechanisms: ['PLAIN', 'SCRAM-SHA-512'],
    })
    expect(await probeListener(await answering(response(34, [])), null)).toEqual({ mechanisms: [] })
  })

  it('takes nothing from an answer that is cut, spoiled, or no answer at all', async () => {
    const whole = response(33, ['PLAIN', 'SCRAM-SHA-512'])
    expect(await probeListener(await answering(whole.subarray(0, 20)), null)).toBe(null)
    expect(await probeListener(await answering(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')), null)).toBe(
      null,
    )
    expect(await probeListener({ host: '127.0.0.1', port: 1 }, null)).toBe(null)
    await playLives(100, async (random) => {
      const spoiled = Buffer.from(whole)
      for (let at = 4; at < spoiled.length; at++) {
        if (random.next() < 0.2) spoiled[at] = random.between(0, 255)
      }
      const facts = await probeListener(await answering(spoiled), null)
      for (const name of facts?.mechanisms ?? []) expect(name).toMatch(/^[\x21-\x7e]*$/)
    })
  })
})
