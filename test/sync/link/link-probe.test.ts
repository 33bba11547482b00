import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { expect, it } from 'vitest'
import { LinkWatch, localNetworks, tcpProbe } from '../../../sync/link/link-probe.ts'

it('a probe tells whether one of the addresses takes a connection, each in its turn', async () => {
  const server = createServer((socket) => socket.end())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const probe = tcpProbe([`127.0.0.1:${port}`, `[127.0.0.1]:${port}`])
  expect(await probe()).toBe(true)
  expect(await probe()).toBe(true)
  server.close()
  await once(server, 'close')
  expect(await probe()).toBe(false)
})

it('this machine has networks, named the same each time', () => {
  expect(localNetworks()).toBe(localNetworks())
  expect(localNetworks()).not.toContain('127.0.0.1')
})

it('asks the place seldom, and the operating system each time; losing the network is no reason to try', async () => {
  let network = 'a'
  let asked = 0
  const probe = async () => {
    asked++
    return false
  }
  const watch = new LinkWatch({ network: () => network, probe }, true)
  for (let i = 0; i < 30; i++) expect(await watch.look(2000)).toBe(null)
  expect(asked).toBe(3)
  network = ''
  expect(await watch.look(2000)).toBe(null)
  network = 'b'
  expect(await watch.look(2000)).toBe('network')
})
