/** What can be said on the TLS listener before it is MQTT: handshakes that are broken off, are no TLS, never end, begin again, or follow each other. */
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls'
import type { Arena, Attack } from './field.ts'
import { bytesOf, chance, connectOf, mutated, pick, VERSIONS } from './packets.ts'

const ANSWER_MS = 300

/** A ClientHello of TLS 1.2 with one cipher and no extensions (RFC 5246, section 7.4.1.2). */
const HELLO = Buffer.concat([
  Buffer.from([0x16, 0x03, 0x01, 0x00, 0x2d, 0x01, 0x00, 0x00, 0x29, 0x03, 0x03]),
  Buffer.alloc(32, 0x5a),
  Buffer.from([0x00, 0x00, 0x02, 0xc0, 0x2f, 0x01, 0x00]),
])

export const tlsHandshakes: Attack = {
  name: 'TLS handshakes',
  weight: 5,
  async run(random, arena) {
    const kind = random.between(0, 3)
    if (kind === 0) await halfOpen(arena, random)
    else if (kind === 1) await renegotiated(arena)
    else {
      for (let count = random.between(5, 30); count > 0 && !arena.isOver; count--) {
        const socket = handshake(arena)
        if (chance(random, 0.5))
          socket.once('secureConnect', () => socket.write(connectOf(random, pick(random, VERSIONS))))
        if (chance(random, 0.3)) await arena.pause(random.between(0, 20))
        if (chance(random, 0.3)) socket.destroy()
      }
      await arena.pause(ANSWER_MS)
    }
  },
}

function handshake(arena: Arena, options: ConnectionOptions = {}): TLSSocket {
  const { socket } = arena.tcp(arena.tlsPort)
  // its certificate is of no authority that anybody knows
  const secured = connectTls({ socket, rejectUnauthorized: false, ...options })
  secured.on('error', () => {})
  secured.resume()
  return secured
}

/** Nothing, garbage, or a beginning; then silence. */
async function halfOpen(arena: Arena, random: Parameters<Attack['run']>[0]): Promise<void> {
  for (let count = random.between(10, 50); count > 0 && !arena.isOver; count--) {
    const link = arena.tcp(arena.tlsPort)
    if (chance(random, 0.3)) link.write(bytesOf(random, 300))
    else if (chance(random, 0.8))
      link.write(mutated(random, HELLO, 0.5).subarray(0, random.between(1, HELLO.length)))
  }
  await arena.pause(random.between(500, 4000))
}

/** TLS 1.2 lets a client ask for another handshake on its connection, which costs the server most of the work. */
async function renegotiated(arena: Arena): Promise<void> {
  const socket = handshake(arena, { maxVersion: 'TLSv1.2' })
  await new Promise<void>((resolve) => {
    socket.once('secureConnect', resolve)
    socket.once('close', () => resolve())
    setTimeout(resolve, ANSWER_MS)
  })
  for (let count = 0; count < 20 && !socket.destroyed && !arena.isOver; count++) {
    socket.renegotiate({ rejectUnauthorized: false }, () => {})
    await arena.pause(5)
  }
}
