import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { Ending } from '../../sync/ending.ts'

describe('an ending', () => {
  it('brings what was waited for, or null where the end came first, and to all that come after it', async () => {
    const ending = new Ending()
    expect(await ending.within(Promise.resolve(7))).toBe(7)
    await expect(ending.within(Promise.reject(new Error('no')))).rejects.toThrow('no')
    const waiting = ending.within(new Promise<number>(() => {}))
    ending.end()
    expect(await waiting).toBeNull()
    expect(await ending.within(new Promise<number>(() => {}))).toBeNull()
  })

  it('keeps nothing of what was waited for', async () => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const ending = new Ending()
    const seen: WeakRef<object>[] = []
    for (let i = 0; i < 50; i++) {
      const value = { bytes: new Uint8Array(1000) }
      seen.push(new WeakRef(value))
      await ending.within(Promise.resolve(value))
    }
    await new Promise((resolve) => setImmediate(resolve))
    collect()
    // the last one may still stand on the stack
    expect(seen.filter((ref) => ref.deref() !== undefined).length).toBeLessThan(3)
    ending.end()
  })
})
