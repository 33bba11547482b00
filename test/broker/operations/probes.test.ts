import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { probeDirectory, probeListen } from '../../../broker/operations/probes.ts'

const directory = mkdtempSync(join(tmpdir(), 'headwater-probe-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

test('a directory that can be written passes, and nothing is left in it', async () => {
  expect(await probeDirectory(directory)).toBeNull()
  expect(await probeDirectory(join(directory, 'not/yet/there'))).toBeNull()
  expect(readdirSync(directory)).toEqual([])
})

test('a path below a file, and one where no file can be made, say why', async () => {
  writeFileSync(join(directory, 'file'), '')
  expect(await probeDirectory(join(directory, 'file'))).toEqual({
    reason: `${directory}/file is a file`,
    hint: 'choose another path',
  })
  expect((await probeDirectory(join(directory, 'file/below')))?.reason).toBe(`${directory}/file is a file`)
  expect((await probeDirectory('/proc/headwater'))?.reason).toMatch(/^\/proc cannot be written/)
})

test('an address in use is told, and a free one is free afterwards', async () => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = { host: '127.0.0.1', port: (server.address() as AddressInfo).port }
  expect((await probeListen(address))?.message).toBe(
    `cannot listen on 127.0.0.1:${address.port}: the port is in use`,
  )
  await new Promise((resolve) => server.close(resolve))
  expect(await probeListen(address)).toBeNull()
  expect(await probeListen(address)).toBeNull()
})

test('an address of another machine is told', async () => {
  expect((await probeListen({ host: '192.0.2.1', port: 1883 }))?.message).toContain(
    'does not have the address',
  )
})
