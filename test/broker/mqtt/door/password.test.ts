import { describe, expect, it } from 'vitest'
import { hashPassword, isPasswordHash, PasswordChecks } from '../../../../broker/mqtt/door/password.ts'

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
    expect(await checks.pretend(RIGHT)).toBe(false)
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
    expect(await checks.pretend(RIGHT, gone)).toBe(false)
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
})
