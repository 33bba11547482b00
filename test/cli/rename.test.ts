/** Another name for an edge whose card was cloned or whose backup was restored. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { headwater, scratch, startBroker } from './headwater.ts'

interface IdentityFile {
  edge: string
  incarnation: string
  createdAt: string
}

function identityIn(home: string): IdentityFile {
  const { crc, ...identity } = JSON.parse(readFileSync(join(home, 'data', 'headwater.json'), 'utf8'))
  expect(crc).toMatch(/^[0-9a-f]{8}$/)
  return identity as IdentityFile
}

test('rename gives the log another name and a new incarnation, once no broker runs on it', async () => {
  const home = scratch()
  const { broker } = await startBroker([], home)
  const before = identityIn(home)
  const refused = await headwater(['rename', 'line-7-b'], home)
  expect(refused.code).toBe(4)
  expect(refused.stderr).toMatch(
    /^headwater: HW_DATA_LOCKED: another process uses the data directory \S+\/data - /,
  )
  expect(identityIn(home)).toEqual(before)
  await broker.end('SIGTERM')

  expect((await headwater(['rename', 'line 7'], home)).code).toBe(2)
  const renamed = await headwater(['rename', 'line-7-b', '--json'], home)
  expect(renamed.code).toBe(0)
  const after = identityIn(home)
  expect(JSON.parse(renamed.stdout)).toMatchObject({ from: before, to: after })
  expect(after).toMatchObject({ edge: 'line-7-b', createdAt: before.createdAt })
  expect(after.incarnation).not.toBe(before.incarnation)
})
