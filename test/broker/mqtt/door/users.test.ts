import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { UsersFileError } from '../../../../broker/errors.ts'
import { isUserName, readUsers, USERS_FILE, writeUsers } from '../../../../broker/mqtt/door/users.ts'
import { filesDisk, users } from './support.ts'

const PATH = join('/data', USERS_FILE)

describe('the file of users', () => {
  it('gives back what was written, whatever the names', async () => {
    const files = new Map<string, Buffer>()
    const known = await users({ ann: 'correct horse', 'Zoë 7': 'battery staple', __proto__x: 'another one' })
    await writeUsers(filesDisk(files), '/data', known)
    expect(await readUsers(filesDisk(files), '/data')).toEqual(known)
    expect(String(files.get(PATH))).not.toContain('correct horse')
  })

  it('is not there at first', async () => {
    expect((await readUsers(filesDisk(new Map()), '/data')).size).toBe(0)
  })

  it.each([
    ['', 'it is not JSON'],
    ['null', 'its format is undefined'],
    ['{"format":2,"users":{}}', 'its format is 2, this version reads 1'],
    ['{"format":1}', 'it has no users'],
    ['{"format":1,"users":[1]}', 'the password of "0" is not a hash'],
    ['{"format":1,"users":{"a/b":{"password":"x"}}}', '"a/b" is no name for a user'],
    ['{"format":1,"users":{"a":{"password":"secret"}}}', 'the password of "a" is not a hash'],
    ['{"format":1,"users":{"a":null}}', 'the password of "a" is not a hash'],
  ])('that is %j is refused, by name', async (text, reason) => {
    const reading = readUsers(filesDisk(new Map([[PATH, Buffer.from(text)]])), '/data')
    await expect(reading).rejects.toThrow(UsersFileError)
    await expect(reading).rejects.toThrow(reason)
  })
})

it('names of users hold nothing that a topic filter or a permission gives a meaning', () => {
  for (const name of ['ann', 'a b', 'sensor-7.example.com', 'é', 'x'.repeat(128)])
    expect(isUserName(name)).toBe(true)
  for (const name of ['', 'a/b', '+', 'a#', 'a*', 'a\n', 'a\0', 'anonymous', 'x'.repeat(129)])
    expect(isUserName(name), name).toBe(false)
})
