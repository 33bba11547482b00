import { describe, expect, test } from 'vitest'
import { FEW_MAX, FewEntries } from '../../firmware-bridge/few-entries.ts'
import { playLives, type Random } from '../support/random.ts'

const LIVES = 5
const STEPS = 2_000

describe('few entries', () => {
  // mostly few of them, so that both forms and the ways between them are met
  test('hold what a Map holds, in its order, however many come and go', () => playLives(LIVES, live))

  async function live(random: Random): Promise<void> {
    const few = new FewEntries<number, number>()
    const model = new Map<number, number>()
    let changesOfForm = 0
    for (let step = 0; step < STEPS; step++) {
      const wasMany = model.size > FEW_MAX
      const key = random.between(1, 3 * FEW_MAX)
      const isGrowing = step % 400 < 200
      if (random.between(1, 500) === 1) {
        few.clear()
        model.clear()
      } else if (random.between(1, 100) <= (isGrowing ? 60 : 30)) {
        few.set(key, step)
        model.set(key, step)
      } else {
        expect(few.delete(key)).toBe(model.delete(key))
      }
      if (wasMany !== model.size > FEW_MAX) changesOfForm++
      expect(few.size).toBe(model.size)
      expect(few.get(key)).toBe(model.get(key))
      expect(few.has(key + 1)).toBe(model.has(key + 1))
      expect(few.keys()).toEqual([...model.keys()])
      expect(few.values()).toEqual([...model.values()])
      expect(few.first()).toBe(model.values().next().value)
    }
    expect(changesOfForm).toBeGreaterThan(5)
  }

  test('are what they were when they are looked through while they change', () => {
    const few = new FewEntries<string, number>()
    few.set('a', 1)
    few.set('b', 2)
    const seen: number[] = []
    for (const value of few.values()) {
      seen.push(value)
      few.clear()
    }
    expect(seen).toEqual([1, 2])
  })
})
