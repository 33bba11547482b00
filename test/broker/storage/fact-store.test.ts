import { describe, expect, it } from 'vitest'
import { FACT_STORE_OPTIONS, FactStore, isWholeFact } from '../../../broker/storage/fact-store.ts'
import type { Identity } from '../../../broker/storage/identity.ts'
import type { Store } from '../../../broker/storage/store.ts'
import { FaultyDisk } from '../../support/faulty-disk.ts'
import { MemoryDisk } from '../../support/memory-disk.ts'

const PATH = '/facts'
const ALL = { from: Buffer.of(), to: Buffer.of(0xff), bytesMax: 1e9 }
const IDENTITY: Identity = { format: 1, edge: 'a', incarnation: 'i', createdAt: '' }

/** Works on the store itself, as damage and earlier versions do. */
async function below<T>(disk: MemoryDisk, work: (store: Store) => Promise<T>): Promise<T> {
  const store = await disk.openStore(PATH, FACT_STORE_OPTIONS)
  try {
    return await work(store)
  } finally {
    await store.close()
  }
}

async function write(disk: MemoryDisk, entries: readonly (readonly [Buffer, Buffer])[]): Promise<void> {
  await below(disk, async (store) => {
    const batch = store.batch()
    for (const [key, value] of entries) batch.put(key, value)
    await batch.write({ sync: true })
  })
}

async function withFacts<T>(
  disk: MemoryDisk,
  work: (facts: FactStore) => Promise<T>,
  damaged: string[] = [],
) {
  const facts = await FactStore.open(disk, PATH, (name) => damaged.push(name))
  try {
    return await work(facts)
  } finally {
    await facts.close()
  }
}

const textOf = async (facts: FactStore, name: string) => (await facts.get(name))?.toString()

describe('facts', () => {
  it('lie on the disk as the example in fact-store.ts', async () => {
    const disk = new MemoryDisk()
    await withFacts(disk, (facts) => facts.put('a', Buffer.from('1')))
    const [entry] = await below(disk, (store) => store.range(ALL))
    expect(entry!.key.toString('hex')).toBe('0161')
    expect(entry!.value.toString('hex')).toBe('c746939431')
  })

  it('come in the order of their names, page by page, without the copy of the identity', async () => {
    const disk = new MemoryDisk()
    await withFacts(disk, async (facts) => {
      await facts.putIdentity(IDENTITY)
      const names = Array.from({ length: 300 }, (_, i) => `fact ${String(i).padStart(3, '0')}`)
      await facts.putAll(names.map((name) => [name, Buffer.alloc(1000, name)]))
      const pages = []
      for await (const page of facts.pages()) pages.push(page)
      expect(pages.length).toBeGreaterThan(1)
      expect(pages.flat().map(([name]) => name)).toEqual(names)
      expect(pages.flat().every(([name, payload]) => payload.equals(Buffer.alloc(1000, name)))).toBe(true)
      expect(await facts.identity()).toEqual({ kind: 'whole', identity: IDENTITY, hasCrc: true })
    })
  })

  it('of which any bit of key or value is flipped are none, and that is told', async () => {
    const disk = new MemoryDisk()
    await withFacts(disk, (facts) => facts.put('position', Buffer.from('1234')))
    const [{ key, value }] = (await below(disk, (store) => store.range(ALL))) as [
      { key: Buffer; value: Buffer },
    ]
    const bytes = Buffer.concat([key, value])
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const damaged = Buffer.from(bytes)
      damaged[bit >> 3]! ^= 1 << (bit & 7)
      expect(isWholeFact(damaged.subarray(0, key.length), damaged.subarray(key.length)), `bit ${bit}`).toBe(
        false,
      )
    }
    for (let length = 0; length < value.length; length++)
      expect(isWholeFact(key, value.subarray(0, length))).toBe(false)
    const flipped = Buffer.from(value)
    flipped[5]! ^= 1
    await write(disk, [[key, flipped]])
    const told: string[] = []
    await withFacts(
      disk,
      async (facts) => {
        expect(await facts.get('position')).toBeUndefined()
        for await (const page of facts.pages()) expect(page).toEqual([])
        await facts.put('position', Buffer.from('1'))
        expect(await textOf(facts, 'position')).toBe('1')
      },
      told,
    )
    expect(told).toEqual(['position', 'position'])
  })

  it('of before they had a checksum are read and have one then; newer ones win over them', async () => {
    const disk = new MemoryDisk()
    await withFacts(disk, (facts) => facts.put('b', Buffer.from('new')))
    const old = Array.from(
      { length: 3000 },
      (_, i) => [Buffer.from(`old ${i}`), Buffer.alloc(50, 'x')] as const,
    )
    await write(disk, [
      [Buffer.from('a'), Buffer.from('old')],
      [Buffer.from('b'), Buffer.from('old')],
      ...old,
    ])
    await withFacts(disk, async (facts) => {
      expect(await textOf(facts, 'a')).toBe('old')
      expect(await textOf(facts, 'b')).toBe('new')
      expect(await facts.get('old 2999')).toHaveLength(50)
    })
    const entries = await below(disk, (store) => store.range(ALL))
    expect(entries).toHaveLength(3002)
    expect(entries.every(({ key, value }) => isWholeFact(key, value))).toBe(true)
  })

  it('of before they had a checksum survive a power cut at each step of giving them one', async () => {
    for (let cutAt = 1; ; cutAt++) {
      const disk = new MemoryDisk()
      await write(disk, [[Buffer.from('a'), Buffer.from('old')]])
      const faulty = new FaultyDisk(disk)
      faulty.cutPowerAt(cutAt)
      const facts = await FactStore.open(faulty, PATH).catch(() => null)
      if (!faulty.isOff) {
        await facts!.close()
        expect(cutAt).toBeGreaterThan(2)
        return
      }
      await withFacts(disk, async (again) => expect(await textOf(again, 'a')).toBe('old'))
    }
  })
})
