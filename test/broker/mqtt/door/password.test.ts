import { type ScryptOptions, scrypt } from 'node:crypto'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import {
  type Derive,
  hashPassword,
  isPasswordHash,
  PasswordChecks,
} from '../../../../broker/mqtt/door/password.ts'

const RIGHT = Buffer.from('correct horse')

describe('passwords', () => {
  it('are right against their own hash alone, which differs each time', async () => {
    const [one, two] = await Promise.all([hashPassword(RIGHT), hashPassword(RIGHT)])
    expect(one).not.toBe(two)
    expect(one).toMatch(/^\$scrypt\$ln=14,r=8,p=1\$/)
    expect(isPasswordHash(one)).toBe(true)
    const checks = new PasswordChecks()
    expect(await checks.isRight(one, RIGHT)).toBe(true)
    expect(await checks.isRight(one, RIGHT), 'known again').toBe(true)
    expect(await checks.isRight(two, RIGHT)).toBe(true)
    expect(await checks.isRight(one, Buffer.from('wrong'))).toBe(false)
    expect(await checks.isRight(one, Buffer.alloc(0))).toBe(false)
    expect(await checks.pretend('nobody', RIGHT)).toBe(false)
  })

  it('are not checked against a hash that asks for more than the broker gives, or is none', async () => {
    const kept = await hashPassword(RIGHT)
    const checks = new PasswordChecks()
    const changed = ['ln=30,r=8,p=1', 'ln=14,r=99,p=1', 'ln=14,r=8,p=9', 'ln=0,r=8,p=1']
    for (const cost of changed) {
      const wrong = kept.replace('ln=14,r=8,p=1', cost)
      expect(isPasswordHash(wrong), cost).toBe(false)
      expect(await checks.isRight(wrong, RIGHT)).toBe(false)
    }
    for (const wrong of ['', 'secret', '$2b$10$abc', kept.slice(0, -10)])
      expect(isPasswordHash(wrong)).toBe(false)
  })

  it('are not checked for a client that has gone when its turn comes', async () => {
    const kept = await hashPassword(RIGHT)
    const checks = new PasswordChecks()
    let asked = 0
    const gone = () => {
      asked++
      return false
    }
    expect(await checks.isRight(kept, RIGHT, gone)).toBe(false)
    expect(await checks.pretend('nobody', RIGHT, gone)).toBe(false)
    expect(asked).toBe(2)
    expect(await checks.isRight(kept, RIGHT)).toBe(true)
  })

  it('wait for one another, two at a time, and are refused beyond a bound', async () => {
    const kept = await hashPassword(RIGHT)
    const checks = new PasswordChecks(3)
    const wrong = Array.from({ length: 6 }, (_, i) => checks.isRight(kept, Buffer.from(`wrong ${i}`)))
    expect(await Promise.all(wrong)).toEqual([false, false, false, false, false, null])
    expect(await checks.isRight(kept, RIGHT), 'and then there is room again').toBe(true)
  })

  it('that are the same, of the same user, share one check; those of another user do not', async () => {
    const [one, two] = await Promise.all([hashPassword(RIGHT), hashPassword(RIGHT)])
    const { derived, mostBytes, derive } = counted()
    const checks = new PasswordChecks(1, derive)
    const same = Array.from({ length: 500 }, () => checks.isRight(one, RIGHT))
    const other = checks.isRight(two, RIGHT)
    const wrong = Array.from({ length: 20 }, () => checks.isRight(one, Buffer.from('wrong')))
    expect(new Set(await Promise.all(same))).toEqual(new Set([true]))
    expect(await other).toBe(true)
    expect(new Set(await Promise.all(wrong))).toEqual(new Set([false]))
    expect(derived()).toBe(3)
    expect(mostBytes()).toBeLessThanOrEqual(32 * 1024 * 1024)
    expect(await checks.isRight(one, Buffer.from('wrong')), 'what was wrong is not remembered').toBe(false)
    expect(derived()).toBe(4)
  })

  it('of users that do not exist take as many checks as those of users that do', async () => {
    const { derived, derive } = counted()
    const checks = new PasswordChecks(10, derive)
    const pretended = ['a', 'a', 'a', 'b'].map((name) => checks.pretend(name, RIGHT))
    expect(await Promise.all(pretended)).toEqual([false, false, false, false])
    expect(derived()).toBe(2)
  })

  it('are checked where one of those who share it is still there', async () => {
    const kept = await hashPassword(RIGHT)
    const checks = new PasswordChecks()
    const gone = checks.isRight(kept, RIGHT, () => false)
    const there = checks.isRight(kept, RIGHT)
    expect(await Promise.all([gone, there])).toEqual([true, true])
  })

  it('whose checks take much memory run one after the other', async () => {
    const large = (await hashPassword(RIGHT)).replace('ln=14', 'ln=16')
    const small = await hashPassword(RIGHT)
    const { derive, mostBytes } = counted()
    const checks = new PasswordChecks(10, derive)
    const wrong = [large, small, large].map((kept, i) => checks.isRight(kept, Buffer.from(`wrong ${i}`)))
    expect(await Promise.all(wrong)).toEqual([false, false, false])
    expect(mostBytes()).toBe(64 * 1024 * 1024)
  })
})

/** scrypt, counted. */
function counted() {
  let [derived, bytes, mostBytes] = [0, 0, 0]
  const derive: Derive = async (password, salt, length, options) => {
    derived++
    const own = 128 * options.N! * options.r!
    bytes += own
    mostBytes = Math.max(mostBytes, bytes)
    const result = await promisify<Buffer, Buffer, number, ScryptOptions, Buffer>(scrypt)(
      password,
      salt,
      length,
      options,
    )
    bytes -= own
    return result
  }
  return { derive, derived: () => derived, mostBytes: () => mostBytes }
}
