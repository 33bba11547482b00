/** `headwater users` on a directory of its own, with a terminal and an input that a test plays. */
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { defaultConfig } from '../../../../broker/config/load.ts'
import { PasswordChecks } from '../../../../broker/mqtt/door/password.ts'
import { readUsers } from '../../../../broker/mqtt/door/users.ts'
import type { CommandContext } from '../../../../broker/operations/commands/context.ts'
import {
  runUsersAdd,
  runUsersList,
  runUsersPasswd,
  runUsersRemove,
} from '../../../../broker/operations/commands/users.ts'
import { nodeDisk } from '../../../../broker/storage/node-disk.ts'
import { outputTo } from '../output-to.ts'

let root: string
let data: string
let printed: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'headwater-users-'))
  data = join(root, 'data')
  printed = ''
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

function context(changes: Partial<CommandContext> = {}): CommandContext {
  const out = outputTo((text) => {
    printed += text
  })
  const config = defaultConfig(data)
  config.mqtt.permissions = [{ users: ['sensor-*'], publish: ['s/#'], subscribe: [] }]
  return {
    out,
    err: out,
    env: {},
    signal: new AbortController().signal,
    loadConfig: async () => ({
      ok: true,
      config,
      file: null,
      version: null,
      warnings: [],
      isGiven: () => false,
      place: () => '',
      source: () => null,
    }),
    openLog: () => Promise.reject(new Error('not used')),
    readInput: async () => Buffer.from('correct horse\n'),
    ...changes,
  }
}

const options = () => ({ data, json: false })
const isRight = async (name: string, password: string) => {
  const user = (await readUsers(nodeDisk, data)).get(name)
  return new PasswordChecks().isRight(user!.password, Buffer.from(password))
}
const typed = (...answers: string[]) => ({ askSecret: async () => answers.shift() ?? '' })

describe('add', () => {
  test('takes the password from standard input, also before the first start', async () => {
    expect(await runUsersAdd(context(), 'sensor-7', options())).toBe(0)
    expect(await isRight('sensor-7', 'correct horse')).toBe(true)
    expect(printed).toContain('user "sensor-7" is added')
    expect(printed).not.toContain('no permission allows it anything')
    expect(statSync(join(data, 'users.json')).mode & 0o777).toBe(0o600)
    expect(readFileSync(join(data, 'users.json'), 'utf8')).not.toContain('correct')
    expect(existsSync(join(data, '.users.json.lock'))).toBe(false)
  })

  test('takes it from a file, without the end of its line, and from a terminal, asked twice', async () => {
    writeFileSync(join(root, 'password'), 'battery staple\r\n')
    await runUsersAdd(context(), 'a', { ...options(), passwordFile: join(root, 'password') })
    expect(await isRight('a', 'battery staple')).toBe(true)
    await runUsersAdd(context(typed('from a terminal', 'from a terminal')), 'b', options())
    expect(await isRight('b', 'from a terminal')).toBe(true)
    await expect(
      runUsersAdd(context(typed('from a terminal', 'or another')), 'c', options()),
    ).rejects.toThrow('the two passwords differ')
  })

  test('says where nothing is allowed to the user yet', async () => {
    await runUsersAdd(context(), 'ann', options())
    expect(printed).toContain('no permission allows it anything yet')
  })

  test.each([
    ['', 'the password is empty'],
    ['\n', 'the password is empty'],
    ['short', 'the password has 5 characters'],
    ['sensor-number-7', 'the password is the name of the user'],
    ['aaaaaaaaaa', 'one character again and again'],
    ['two lines\nof text', 'more than one line'],
    ['x'.repeat(1000) + 'y'.repeat(100), 'longer than 1024 bytes'],
  ])('refuses the password %j', async (password, reason) => {
    const input = context({ readInput: async () => Buffer.from(password) })
    await expect(runUsersAdd(input, 'sensor-number-7', options())).rejects.toThrow(reason)
    expect(existsSync(join(data, 'users.json'))).toBe(false)
  })

  test('refuses a name that is taken, or that is none', async () => {
    await runUsersAdd(context(), 'ann', options())
    await expect(runUsersAdd(context(), 'ann', options())).rejects.toThrow('there is a user "ann" already')
    for (const name of ['', 'a/b', 'anonymous', '*'])
      await expect(runUsersAdd(context(), name, options())).rejects.toThrow('is no name for a user')
  })

  test('loses none of many that are added at once', async () => {
    const names = Array.from({ length: 12 }, (_, i) => `sensor-${i}`)
    await Promise.all(names.map((name) => runUsersAdd(context(), name, options())))
    expect([...(await readUsers(nodeDisk, data)).keys()].sort()).toEqual(names.sort())
  })
})

test('passwd changes the password of a user there is', async () => {
  await runUsersAdd(context(), 'ann', options())
  await runUsersPasswd(context(typed('another horse', 'another horse')), 'ann', options())
  expect([await isRight('ann', 'another horse'), await isRight('ann', 'correct horse')]).toEqual([
    true,
    false,
  ])
  await expect(runUsersPasswd(context(), 'bob', options())).rejects.toThrow('there is no user "bob"')
})

test('remove removes one, and names those there are where it is none', async () => {
  await runUsersAdd(context(), 'ann', options())
  await expect(runUsersRemove(context(), 'an', options())).rejects.toMatchObject({ hint: 'users here: ann' })
  await runUsersRemove(context(), 'ann', { ...options(), json: true })
  expect(printed).toContain('{"removed":"ann","users":0}')
  expect((await readUsers(nodeDisk, data)).size).toBe(0)
})

test('list shows what each may do', async () => {
  await runUsersList(context(), options())
  expect(printed).toContain('no users')
  await runUsersAdd(context(), 'sensor-7', options())
  await runUsersAdd(context(), 'ann', options())
  printed = ''
  await runUsersList(context(), options())
  expect(printed.split('\n')).toEqual([
    'USER      MAY PUBLISH  MAY SUBSCRIBE',
    'ann       -            -',
    'sensor-7  s/#          -',
    '',
  ])
  printed = ''
  await runUsersList(context(), { ...options(), json: true })
  expect(JSON.parse(printed)).toEqual({
    users: [
      { name: 'ann', publish: [], subscribe: [] },
      { name: 'sensor-7', publish: ['s/#'], subscribe: [] },
    ],
  })
})
