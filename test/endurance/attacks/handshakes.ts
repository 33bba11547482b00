/** What is said on the WebSocket listener before it is MQTT, and frames that MQTT does not use. */
import type { Attack } from './field.ts'
import { bytesOf, chance, connectOf, mutated, pick, VERSIONS } from './packets.ts'

const ANSWER_MS = 300
const HEADERS_MAX = 400

const UPGRADE = [
  'GET /mqtt HTTP/1.1',
  'Host: x',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Protocol: mqtt',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
]

export const handshakes: Attack = {
  name: 'WebSocket handshakes and frames',
  weight: 5,
  async run(random, arena) {
    const link = arena.tcp(arena.webSocketPort)
    const request = Buffer.from(`${UPGRADE.join('\r\n')}\r\n\r\n`)
    if (chance(random, 0.4)) {
      link.write(mutated(random, request, 0.8))
      if (chance(random, 0.3)) {
        for (let count = random.between(1, HEADERS_MAX); count > 0; count--) {
          link.write(Buffer.from(`X-${count}: ${'y'.repeat(random.between(0, 500))}\r\n`))
        }
      }
      await link.something(ANSWER_MS)
      return
    }
    link.write(request)
    await link.something(ANSWER_MS)
    for (let count = random.between(1, 20); count > 0 && !link.isClosed && !arena.isOver; count--) {
      const payload = chance(random, 0.5) ? connectOf(random, pick(random, VERSIONS)) : bytesOf(random, 120)
      const kind = pick(random, [0x82, 0x82, 0x02, 0x80, 0x81, 0x88, 0x89, 0x8a, 0x8f, 0xc2])
      link.write(mutated(random, frame(kind, payload), 0.2))
      if (chance(random, 0.3)) await arena.pause(random.between(0, 5))
    }
    await link.something(ANSWER_MS)
  },
}

/** Masked, as a client's must be (RFC 6455, section 5.3); a mask of zeros changes nothing. */
function frame(first: number, payload: Buffer): Buffer {
  const length =
    payload.length < 126 ? [0x80 | payload.length] : [0xfe, payload.length >> 8, payload.length & 0xff]
  return Buffer.concat([Buffer.from([first, ...length, 0, 0, 0, 0]), payload])
}
