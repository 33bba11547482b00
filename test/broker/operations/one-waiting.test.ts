/** Reloads that are asked for faster than they can be done. */
import { setImmediate as turn } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { oneWaiting } from '../../../broker/operations/one-waiting.ts'

function controlled() {
  const runs: { end: (value: number) => void; fail: (error: Error) => void }[] = []
  let atOnce = 0
  let atOnceMax = 0
  const ask = oneWaiting(() => {
    atOnceMax = Math.max(atOnceMax, ++atOnce)
    return new Promise<number>((resolve, reject) => {
      runs.push({ end: resolve, fail: reject })
    }).finally(() => atOnce--)
  })
  return { runs, ask, atOnceMax: () => atOnceMax }
}

it('of a flood one runs and one follows, which all that came meanwhile share', async () => {
  const { runs, ask, atOnceMax } = controlled()
  const asked = Array.from({ length: 500 }, () => ask())
  expect(runs).toHaveLength(1)
  runs[0]!.end(1)
  await turn()
  expect(runs).toHaveLength(2)
  const late = ask()
  runs[1]!.end(2)
  expect(await Promise.all(asked)).toEqual([1, ...Array(499).fill(2)])
  await turn()
  expect(runs).toHaveLength(3)
  runs[2]!.end(3)
  expect(await late).toBe(3)
  expect(atOnceMax()).toBe(1)
  const again = ask()
  runs[3]!.end(4)
  expect(await again).toBe(4)
})

it('one that fails keeps neither the waiting one nor later ones from running', async () => {
  const { runs, ask } = controlled()
  const [first, second] = [ask(), ask()]
  runs[0]!.fail(new Error('refused'))
  await expect(first).rejects.toThrow('refused')
  await turn()
  runs[1]!.end(2)
  expect(await second).toBe(2)
})

it('who asks in the moment in which one ends and the next has not begun gets the next one', async () => {
  const { runs, ask, atOnceMax } = controlled()
  const again = ask().then(() => ask())
  const second = ask()
  runs[0]!.end(1)
  await turn()
  expect(runs).toHaveLength(2)
  runs[1]!.end(2)
  expect(await Promise.all([again, second])).toEqual([2, 2])
  expect(atOnceMax()).toBe(1)
})
