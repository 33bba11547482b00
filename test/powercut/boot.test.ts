import { createServer, type Server, type Socket } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { BrokerSilentError, MachineSilentError, StarvedError, whyNot, wordOf } from './boot.ts'

const patience = { servedMsMax: 60_000, passedMsMax: 600_000 }
const silent = async () => null
const well = async () => 'up 100 s, headwater.service active'

test('nobody is asked while there is patience', async () => {
  const nobody = () => Promise.reject(new Error('asked'))
  expect(await whyNot('no client', { passedMs: 500_000, servedMs: 60_000 }, patience, nobody)).toBeNull()
})

test('a machine that is well and lets nobody in is the broker’s fault, told with what the machine says', async () => {
  const error = await whyNot('no client', { passedMs: 61_000, servedMs: 61_000 }, patience, well)
  expect(error).toBeInstanceOf(BrokerSilentError)
  expect(error!.message).toContain('headwater.service active')
  expect(error!.message).toContain('61 s of 61 s')
})

test('a machine that says nothing is not the broker’s', async () => {
  const error = await whyNot('no client', { passedMs: 61_000, servedMs: 61_000 }, patience, silent)
  expect(error).toBeInstanceOf(MachineSilentError)
})

test('an emulator that was not let work is neither', async () => {
  const error = await whyNot('no client', { passedMs: 601_000, servedMs: 9_000 }, patience, well)
  expect(error).toBeInstanceOf(StarvedError)
  expect(error!.message).toContain('9 s of 601 s')
})

let server: Server | undefined
const sockets = new Set<Socket>()
afterEach(() => {
  for (const socket of sockets) socket.destroy()
  server?.close()
})

async function listening(answer: (socket: Socket) => void): Promise<number> {
  const listener = createServer((socket) => {
    sockets.add(socket)
    answer(socket)
  })
  server = listener
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
  return (listener.address() as { port: number }).port
}

test('a machine’s word is all that it says until it ends', async () => {
  const port = await listening((socket) => {
    socket.write('up 100 s\n')
    socket.end('active\n')
  })
  expect(await wordOf(port)).toBe('up 100 s\nactive')
})

test('a connection that is accepted and not answered is no word', async () => {
  const port = await listening(() => {})
  expect(await wordOf(port, 100)).toBeNull()
})

test('one that is closed at once is none either', async () => {
  const port = await listening((socket) => socket.end())
  expect(await wordOf(port)).toBeNull()
})
