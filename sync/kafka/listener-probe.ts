/**
 * What a listener is, asked on a connection of its own after one that broke without a word: Kafka ends a connection that it does
 * not understand, and says why only in its own log. A SaslHandshake for no mechanism is answered by every Kafka.
 *
 *   request  := bytes:int32 17:int16 1:int16 correlation:int32 clientIdBytes:int16 clientId mechanismBytes:int16 mechanism
 *   response := bytes:int32 correlation:int32 error:int16 count:int32 (nameBytes:int16 name)*
 */
import { connect as connectPlain, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { type PeerAddress, serverNameOf } from '../peer-certificate.ts'
import type { TlsMaterial } from '../tls.ts'

const PROBE_MS_MAX = 2000
const ANSWER_BYTES_MAX = 4096
const UNSUPPORTED_SASL_MECHANISM = 33

/** `mechanisms` are those that the listener asks for; empty where it asks for no login. */
export interface ListenerFacts {
  readonly mechanisms: readonly string[]
}

/**
 * @param material given: asks through TLS, whatever certificate comes
 * @returns null when nothing there speaks Kafka so
 */
export function probeListener(
  peer: PeerAddress,
  material: TlsMaterial | null,
): Promise<ListenerFacts | null> {
  return new Promise((resolve) => {
    const { host, port } = peer
    const socket = material === null ? connectPlain({ host, port }) : openTls(peer, material)
    let answer = Buffer.alloc(0)
    const end = (facts: ListenerFacts | null) => {
      socket.destroy()
      resolve(facts)
    }
    socket.setTimeout(PROBE_MS_MAX, () => end(null))
    socket.on('error', () => end(null))
    socket.on('close', () => end(null))
    socket.on(material === null ? 'connect' : 'secureConnect', () => socket.write(REQUEST))
    socket.on('data', (chunk: Buffer) => {
      answer = Buffer.concat([answer, chunk])
      if (answer.length < 4) return
      const length = answer.readInt32BE(0)
      if (length < 10 || length > ANSWER_BYTES_MAX) end(null)
      else if (answer.length >= 4 + length) end(factsIn(answer))
    })
  })
}

function openTls(peer: PeerAddress, { ca: _, ...own }: TlsMaterial): Socket {
  const servername = serverNameOf(peer)
  // only to ask what the listener is; no secret is sent
  const options = { host: peer.host, port: peer.port, ...own, rejectUnauthorized: false }
  return connectTls(servername === undefined ? options : { ...options, servername })
}

const REQUEST = request('headwater')

function request(clientId: string): Buffer {
  const bytes = Buffer.alloc(4 + 2 + 2 + 4 + 2 + clientId.length + 2)
  bytes.writeInt32BE(bytes.length - 4, 0)
  bytes.writeInt16BE(17, 4)
  bytes.writeInt16BE(1, 6)
  bytes.writeInt32BE(1, 8)
  bytes.writeInt16BE(clientId.length, 12)
  bytes.write(clientId, 14, 'latin1')
  return bytes
}

/** @returns null for what is no answer to our question */
function factsIn(answer: Buffer): ListenerFacts | null {
  if (answer.readInt32BE(4) !== 1) return null
  if (answer.readInt16BE(8) !== UNSUPPORTED_SASL_MECHANISM) return { mechanisms: [] }
  const mechanisms: string[] = []
  let at = 14
  for (let count = answer.readInt32BE(10); count > 0; count--) {
    const from = at + 2
    const length = from <= answer.length ? answer.readInt16BE(at) : -1
    if (length < 0 || from + length > answer.length) return null
    at = from + length
    mechanisms.push(answer.toString('latin1', from, at).replace(/[^\x21-\x7e]/g, '?'))
  }
  return { mechanisms }
}
