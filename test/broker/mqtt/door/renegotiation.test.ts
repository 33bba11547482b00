/** TLS 1.2 lets a client ask for another handshake on its connection, which costs the broker most of the work; Node lets that go on for ever. */
import { once } from 'node:events'
import { connect, type TLSSocket } from 'node:tls'
import { expect, it } from 'vitest'
import { Listener } from '../../../../broker/mqtt/door/listener.ts'
import { createAuthority, createCertificate } from '../../../support/certificates.ts'
import { RecordingSink } from '../../log/support.ts'
import { filesDisk } from './support.ts'

const authority = createAuthority('plant')
const server = createCertificate({ name: 'broker', names: ['127.0.0.1'], issuer: authority })
const files = new Map([
  ['/crt', Buffer.from(server.cert)],
  ['/key', Buffer.from(server.key)],
])

it.each(['at first', 'with new certificates'])(
  'another handshake ends the connection, %s; others come in',
  async (when) => {
    const listener = new Listener(
      {
        address: { host: '127.0.0.1', port: 0 },
        tls: { certFile: '/crt', keyFile: '/key', clientCaFile: null, requiresClientCertificate: false },
        webSocketPath: null,
      },
      {
        disk: filesDisk(files),
        log: new RecordingSink(),
        frameBytesMax: 1000,
        onConnection(stream) {
          stream.on('error', () => {})
          stream.on('data', (chunk) => stream.write(chunk))
        },
      },
    )
    await listener.listen()
    const port = Number(listener.bound.split(':').at(-1))
    const opened = async (): Promise<TLSSocket> => {
      const socket = connect({ host: '127.0.0.1', port, ca: authority.cert, maxVersion: 'TLSv1.2' })
      await once(socket, 'secureConnect')
      socket.on('error', () => {})
      socket.resume()
      return socket
    }
    if (when !== 'at first') {
      files.set('/crt', Buffer.from(`${server.cert}\n`))
      await listener.renew()
    }
    const socket = await opened()
    const ended = new Promise((resolve) => socket.once('close', resolve))
    const answered: unknown[] = []
    socket.renegotiate({}, (error) => answered.push(error))
    await ended
    expect(answered).not.toContain(null)
    const other = await opened()
    other.write('ping')
    const [echo] = (await once(other, 'data')) as [Buffer]
    expect(String(echo)).toBe('ping')
    other.destroy()
    await listener.close()
  },
)
