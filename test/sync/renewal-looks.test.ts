import { describe, expect, it } from 'vitest'
import { RenewalLooks } from '../../sync/renewal-looks.ts'

/** ms between two looks, as long as nothing failed. */
const USUAL_MS = 30_000

describe('looks at renewed credentials', () => {
  it('come every half minute, and soon once after the first failure', () => {
    const looks = new RenewalLooks(0)
    expect([looks.isDue(USUAL_MS - 1), looks.isDue(USUAL_MS)]).toEqual([false, true])
    looks.begun(USUAL_MS)
    looks.failed()
    expect([looks.isDue(USUAL_MS + 1999), looks.isDue(USUAL_MS + 2000)]).toEqual([false, true])
    looks.begun(USUAL_MS + 2000)
    looks.failed()
    expect([looks.isDue(USUAL_MS + 31_999), looks.isDue(USUAL_MS + 32_000)]).toEqual([false, true])
  })

  it('tell of a failure when the second finds it too, and of the end of one that was told', () => {
    const looks = new RenewalLooks(0)
    expect(looks.failed()).toBe(false)
    expect(looks.over()).toBe(false)
    expect([looks.failed(), looks.failed(), looks.failed()]).toEqual([false, true, true])
    expect(looks.hasFailed).toBe(true)
    expect(looks.over()).toBe(true)
    expect(looks.hasFailed).toBe(false)
  })
})
