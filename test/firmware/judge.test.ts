import { expect, it } from 'vitest'
import { judge, type LogRecord } from './judge.ts'
import { originOf, payloadOf, topicOf } from './payload.ts'

const record = (boot: number, number: number, device = 'm3'): LogRecord => {
  const origin = { device, boot, number }
  return { topic: topicOf(origin), value: payloadOf(origin) }
}
const book = (...acknowledged: string[]) => [
  { name: 'm3', boots: 2, acknowledged, refused: [], clockErrorMs: 1500 },
]
const problems = (books: Parameters<typeof judge>[0], ...records: LogRecord[]) =>
  judge(books, records).problems

it('finds nothing where each acknowledged message is there once, in order, and one a boot was under way at its end', () => {
  const all = [record(1, 1), record(1, 2), record(1, 3), record(2, 1)]
  expect(judge(book('1/1', '1/2', '2/1'), all)).toEqual({ records: new Map([['m3', 4]]), problems: [] })
})

it('finds what is missing, twice, out of order, unknown or refused', () => {
  expect(problems(book('1/1', '1/2'), record(1, 1))).toEqual(['m3: 1 acknowledged and not in the log: 1/2'])
  expect(problems(book('1/1'), record(1, 1), record(1, 1))).toEqual(['m3: 1 more than once in the log: 1/1'])
  expect(problems(book('1/1', '1/2'), record(1, 2), record(1, 1))).toEqual(['m3: 1 out of order: 1/1'])
  expect(problems(book('1/1', '2/1'), record(2, 1), record(1, 1))).toEqual(['m3: 1 out of order: 1/1'])
  expect(problems(book('1/1'), record(1, 1), record(1, 2), record(1, 3))).toEqual([
    'm3: 1 in the log of which the device knows nothing: 1/3',
  ])
  expect(problems([{ ...book('1/1')[0]!, refused: ['1/2'] }], record(1, 1))).toEqual(['m3: 1 refused: 1/2'])
})

it('finds a clock that is wrong, and asks of no device that it has one', () => {
  const [good] = book('1/1')
  expect(problems([{ ...good!, clockErrorMs: null }], record(1, 1))).toEqual([])
  expect(problems([{ ...good!, clockErrorMs: 60_000 }], record(1, 1))).toEqual([
    'm3: its clock was wrong by 60000 ms',
  ])
})

it('finds a record that is not what its device made: another byte, another topic, another device', () => {
  const good = record(1, 5)
  expect(originOf(good.topic, good.value)).toEqual({ device: 'm3', boot: 1, number: 5 })
  const damaged = Buffer.from(good.value)
  damaged[damaged.length - 1]! ^= 1
  for (const bad of [
    { ...good, value: damaged },
    { ...good, topic: 'plant/m3/even' },
    record(1, 5, 'uno'),
    { topic: 'x', value: Buffer.from('') },
  ])
    expect(problems(book(), bad)).toEqual([expect.stringContaining('a record that no device made')])
})
