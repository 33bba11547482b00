/** What a listener says of its certificates, and which of them it uses when its files change. */
import { afterEach, expect, it } from 'vitest'
import { Listener } from '../../../../broker/mqtt/door/listener.ts'
import { type Certificate, createAuthority, createCertificate } from '../../../support/certificates.ts'
import { RecordingSink } from '../../log/support.ts'
import { filesDisk } from './support.ts'

const DAY_MS = 86_400_000
const NOW = Date.UTC(2030, 0, 1)
const inDays = (days: number) => new Date(NOW + days * DAY_MS)
const from = inDays(-10_000)
const plant = createAuthority('plant', { from, until: inDays(5000) })
const TLS = { certFile: '/crt', keyFile: '/key', clientCaFile: '/ca', requiresClientCertificate: true }

let listener: Listener | undefined
afterEach(async () => {
  await listener?.close()
  listener = undefined
})

const ending = (days: number, issuer = plant) =>
  createCertificate({ name: 'broker', issuer, from, until: inDays(days) })
const authority = (name: string, days: number) => createAuthority(name, { from, until: inDays(days) })
const pem = (...certificates: readonly Certificate[]) =>
  Buffer.from(certificates.map(({ cert }) => cert).join(''))

async function listen(own: Certificate, chain: readonly Certificate[], authorities: readonly Certificate[]) {
  const files = new Map([
    ['/crt', pem(own, ...chain)],
    ['/key', Buffer.from(own.key)],
    ['/ca', pem(...authorities)],
  ])
  const sink = new RecordingSink()
  let changes = 0
  listener = new Listener(
    { address: { host: '127.0.0.1', port: 0 }, tls: TLS, webSocketPath: null },
    {
      disk: filesDisk(files),
      log: sink,
      frameBytesMax: 1000,
      onConnection: (stream) => stream.destroy(),
      onAuthorities: () => changes++,
    },
  )
  await listener.listen()
  return { files, sink, opened: listener, changes: () => changes, tls: () => listener!.tls(NOW) }
}

it('of its chain the certificate that ends first is told, and of the authorities of clients', async () => {
  const between = createAuthority('between', { issuer: plant, from, until: inDays(10) })
  const own = ending(400, between)
  const { opened, tls } = await listen(own, [between], [authority('devices', 40), authority('others', 50)])
  expect(tls()).toEqual({
    listener: opened.bound,
    certFile: '/crt',
    keyFile: '/key',
    clientCaFile: '/ca',
    certificate: { until: inDays(10).getTime(), isDue: true },
    clientAuthority: { until: inDays(40).getTime(), isDue: false },
    fault: null,
  })
})

it('files that cannot be used are told until they can, and what is told is what is in use', async () => {
  const { opened, files, tls } = await listen(ending(20), [], [authority('devices', 40)])
  const next = ending(400)
  files.set('/crt', pem(next))
  await opened.renew()
  expect(tls()).toMatchObject({
    certificate: { until: inDays(20).getTime(), isDue: true },
    fault: expect.stringContaining('/crt and /key cannot be used'),
  })
  files.set('/key', Buffer.from(next.key))
  await opened.renew()
  expect(tls()).toMatchObject({ certificate: { until: inDays(400).getTime(), isDue: false }, fault: null })
})

it('files that are put back as they were are no fault any more', async () => {
  const own = ending(400)
  const { opened, files, tls } = await listen(own, [], [authority('devices', 40)])
  files.delete('/key')
  await opened.renew()
  expect(tls()!.fault).toContain('the key /key is not there')
  files.set('/key', Buffer.from(own.key))
  await opened.renew()
  expect(tls()!.fault).toBeNull()
})

it.each([
  ['is empty', ''],
  ['has something else', 'no certificate'],
  ['was cut off while it was written', pem(authority('devices', 40)).toString().slice(0, 200)],
])('a file of authorities that %s is not used: it would end every connection', async (_, text) => {
  const { opened, files, tls, changes } = await listen(ending(400), [], [authority('devices', 40)])
  files.set('/ca', Buffer.from(text))
  await opened.renew()
  expect(tls()).toMatchObject({
    clientAuthority: { until: inDays(40).getTime() },
    fault: expect.stringContaining("the clients' authority /ca has no PEM certificate"),
  })
  expect(changes()).toBe(0)
})

it('without TLS there is nothing to tell', async () => {
  const parts = { disk: filesDisk(new Map()), log: new RecordingSink(), frameBytesMax: 1000 }
  const address = { host: '127.0.0.1', port: 0 }
  listener = new Listener({ address, tls: null, webSocketPath: null }, { ...parts, onConnection() {} })
  await listener.listen()
  expect(listener.tls(NOW)).toBeNull()
})
