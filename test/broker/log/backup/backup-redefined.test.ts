/** A backup during which the log gets other streams. */
import { expect, test } from 'vitest'
import { DEFAULT_BUDGET, DEFAULT_POLICY } from '../../../../broker/log/stream-policy.ts'
import { FaultyDisk } from '../../../support/faulty-disk.ts'
import { MemoryDisk } from '../../../support/memory-disk.ts'
import { append, temporaryDirectory } from '../support.ts'
import { backupInSteps, check, collect, openAll, recordsIn, restore } from './support.ts'

const states = {
  name: 'states',
  partitions: 1,
  policy: { ...DEFAULT_POLICY, compacts: true, deletes: false },
}
const wanted = {
  streams: [{ name: 'events', partitions: 2 }, states],
  budget: DEFAULT_BUDGET,
  dirtyShare: 0.5,
}

test('a chain that is new while a backup is taken is not in it, and what was acknowledged before is', async () => {
  // before the first piece, and after each
  for (let at = 0; ; at++) {
    const disk = new FaultyDisk(new MemoryDisk())
    const path = temporaryDirectory()
    await disk.makeDirectory(path)
    const all = await openAll(disk, path)
    for (const value of ['a', 'b']) await append(all.log, 0, [value])
    const change = async () => {
      await all.log.redefine(wanted)
      await append(all.log, 0, ['s'], { stream: 'states' })
    }
    let pieces = 0
    let isChanged = false
    async function* changed() {
      const backup = backupInSteps(all, disk, 1)
      if (at === 0) {
        // the cuts are made, and the catalog is read next
        const gate = disk.hold('read-file', 'catalog.json')
        const first = backup.next()
        await gate.reached
        await change()
        isChanged = true
        gate.release()
        yield (await first).value!
      }
      for await (const piece of backup) {
        yield piece
        if (++pieces === at) await change().then(() => (isChanged = true))
      }
    }
    const bytes = await collect(changed())
    expect((await check(bytes)).isWhole).toBe(true)
    const target = new MemoryDisk()
    const restoredPath = temporaryDirectory()
    await target.makeDirectory(restoredPath)
    await restore(target, restoredPath, bytes)
    const restored = await openAll(target, restoredPath, { streams: wanted.streams })
    expect((await recordsIn(restored.log, 'events', 0)).map(({ value }) => value)).toEqual(['a', 'b'])
    expect(await recordsIn(restored.log, 'states', 0)).toEqual([])
    await append(restored.log, 0, ['t'], { stream: 'states' })
    await restored.close()
    await all.close()
    if (!isChanged) break
  }
})
