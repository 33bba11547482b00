import { afterEach, describe, expect, it } from 'vitest'
import { ApiError, AwayError } from '../../../../broker/dashboard/api/faults.ts'
import type { GapJson, RecordJson } from '../../../../broker/dashboard/api/types.ts'
import { BEHIND_RECORDS_MAX, Tail, type TailRequest } from '../../../../broker/dashboard/state/tail.ts'
import { CHARS_MAX, ROWS_MAX, TailRows } from '../../../../broker/dashboard/state/tail-rows.ts'

type Line = RecordJson | GapJson

function record(offset: number, change: Partial<RecordJson> = {}): RecordJson {
  return {
    stream: 'events',
    partition: 0,
    offset,
    timestamp: new Date(1_750_000_000_000 + offset * 1000).toISOString(),
    topic: `plant/${offset % 3}`,
    key: `plant/${offset % 3}`,
    value: `value ${offset}`,
    headers: [],
    ...change,
  }
}

const records = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => record(from + i))

/** A connection's script: pieces that come at once, then what becomes of it. */
type Connection = {
  readonly pieces: Line[][]
  readonly end: 'wait' | 'end' | Error
  readonly opens?: Promise<void>
}

const open: Tail[] = []
afterEach(() => {
  for (const tail of open.splice(0)) tail.close()
})

function stage(connections: Connection[], request: Partial<TailRequest> = {}) {
  const asked: Record<string, unknown>[] = []
  const waits: number[] = []
  let taken = 0
  async function* lines(
    _method: string,
    _path: string,
    query: object,
    signal: AbortSignal,
    onOpen: () => void,
  ) {
    asked.push(query as Record<string, unknown>)
    const connection = connections[asked.length - 1] ?? { pieces: [], end: 'wait' }
    await connection.opens
    onOpen()
    for (const piece of connection.pieces) {
      taken++
      yield piece
      if (signal.aborted) return
    }
    if (connection.end === 'end') return
    if (connection.end !== 'wait') throw connection.end
    await new Promise((resolve) => signal.addEventListener('abort', resolve))
  }
  const tail = new Tail(
    { stream: 'events', partition: null, from: 'latest', key: '', text: '', ...request },
    {
      api: { lines: lines as never },
      frame: () => new Promise((resolve) => setImmediate(resolve)),
      wait: async (ms) => {
        waits.push(ms)
      },
    },
  )
  open.push(tail)
  void tail.run()
  const shown = () => tail.rows.rows.map((row) => (row.kind === 'record' ? row.record.offset : row.text))
  return { tail, asked, waits, shown, taken: () => taken }
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 10_000 && !condition(); i++) await new Promise((resolve) => setImmediate(resolve))
  expect(condition()).toBe(true)
}

describe('a tail', () => {
  it('shows what matches, in key or topic and anywhere, and counts what came', async () => {
    const pieces = [
      [
        record(0, { topic: 'Plant/A', key: 'x', value: 'hot' }),
        record(1, { topic: 'plant/b', key: 'a', value: 'HOT' }),
        record(2, { topic: 'plant/b', key: 'A1', value: 'cold', headers: [{ key: 'h', value: 'hot' }] }),
        record(3, { topic: 'plant/a', key: null, value: { base64: 'aG90' } }),
      ],
    ]
    const { tail, shown, asked } = stage([{ pieces, end: 'wait' }], { key: 'a1', text: ' hot ' })
    await until(() => tail.view.value.read === 4)
    expect(shown()).toEqual([2])
    expect(asked).toEqual([{ from: 'latest', follow: true, partition: null, grep: 'hot' }])
    expect(tail.view.value).toMatchObject({ read: 4, matched: 1, state: { kind: 'following' } })
  })

  it('follows once the broker has answered, and not before: what is published until then may be of its past', async () => {
    let open = () => {}
    const opens = new Promise<void>((resolve) => {
      open = resolve
    })
    const { tail, asked } = stage([{ pieces: [], end: 'wait', opens }])
    await until(() => asked.length === 1)
    expect(tail.view.value.state).toEqual({ kind: 'connecting' })
    open()
    await until(() => tail.view.value.state.kind === 'following')
  })

  it('that is paused stays so when it is connected again, and goes on where nothing came meanwhile', async () => {
    const { tail, asked } = stage([
      { pieces: [], end: new AwayError('') },
      { pieces: [], end: 'wait' },
    ])
    tail.pause()
    await until(() => asked.length === 2)
    await new Promise((resolve) => setImmediate(resolve))
    expect(tail.view.value.state).toEqual({ kind: 'paused' })
    tail.resume()
    expect(tail.view.value.state).toEqual({ kind: 'following' })
  })

  it('says where damage has taken records', async () => {
    const gap = { stream: 'events', partition: 2, gap: { from: 3, to: 9, reason: 'damaged' } }
    const { shown } = stage([{ pieces: [[gap, record(10)]], end: 'wait' }])
    await until(() => shown().length === 2)
    expect(shown()).toEqual(['partition 2: offsets 3 to 9 are lost: damaged', 10])
  })

  it('goes on where it was when the connection ends, and shows nothing twice', async () => {
    const { asked, waits, shown } = stage([
      { pieces: [records(0, 3)], end: new AwayError('') },
      { pieces: [], end: new AwayError('') },
      { pieces: [records(1, 5)], end: 'end' },
      { pieces: [records(4, 6)], end: 'wait' },
    ])
    await until(() => shown().length === 6)
    expect(shown()).toEqual([0, 1, 2, 3, 4, 5])
    const seconds = (text: unknown) => (Date.parse(String(text)) - 1_750_000_000_000) / 1000
    expect(asked.map(({ from }) => (from === 'latest' ? from : seconds(from)))).toEqual([
      'latest',
      -3,
      -3,
      -1,
    ])
    expect(waits).toEqual([1_000, 1_000, 1_000])
  })

  it('shows nothing of before it began when it goes on, also of partitions that it has seen none of', async () => {
    const old = [7, 8].map((offset) => record(offset, { partition: 1, timestamp: record(97).timestamp }))
    const later = record(9, { partition: 1, timestamp: record(101).timestamp })
    const { shown } = stage([
      { pieces: [[record(100)]], end: 'end' },
      { pieces: [[...old, record(100), later]], end: 'wait' },
    ])
    await until(() => shown().length === 2)
    expect(shown()).toEqual([100, 9])
  })

  it('takes what a clock that was set back has stamped', async () => {
    const before = record(3, { partition: 1, timestamp: record(1).timestamp })
    const { shown } = stage([{ pieces: [[record(100)], [before]], end: 'wait' }])
    await until(() => shown().length === 2)
    expect(shown()).toEqual([100, 3])
  })

  it('waits longer each time while nothing comes', async () => {
    const away: Connection = { pieces: [], end: new AwayError('') }
    const { waits } = stage(Array(7).fill(away))
    await until(() => waits.length === 7)
    expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000])
  })

  it('ends with the reason when the broker refuses', async () => {
    const { tail } = stage([
      { pieces: [], end: new ApiError(404, 'HW_UNKNOWN_STREAM', 'no such stream', 'try events') },
    ])
    await until(() => tail.view.value.state.kind === 'failed')
    expect(tail.view.value.state).toEqual({ kind: 'failed', reason: 'no such stream \u2013 try events' })
  })

  it('goes to the present, and says so, where more comes than it shows', async () => {
    const size = 500
    const many = Array.from({ length: 40 }, (_, i) => records(i * size, (i + 1) * size))
    const { asked, shown, taken } = stage([
      { pieces: many, end: 'wait' },
      { pieces: [records(90_000, 90_002)], end: 'wait' },
    ])
    await until(() => shown().at(-1) === 90_001)
    expect(asked.map(({ from }) => from)).toEqual(['latest', 'latest'])
    expect(taken()).toBeLessThan(BEHIND_RECORDS_MAX / size + 4)
    expect(shown().at(-3)).toBe('The stream is faster than this page shows; it goes on from now.')
  })

  it('from the past fills its rows once, and goes on when it is asked to', async () => {
    const pieces = [records(0, ROWS_MAX + 100), records(ROWS_MAX + 100, ROWS_MAX + 200)]
    const { tail, shown, taken } = stage([{ pieces, end: 'wait' }], { from: 'earliest' })
    await until(() => tail.view.value.state.kind === 'held')
    expect([shown()[0], shown().at(-1), taken()]).toEqual([0, ROWS_MAX - 1, 1])
    tail.resume()
    await until(() => tail.view.value.read === ROWS_MAX + 200)
    expect([shown()[0], shown().at(-1)]).toEqual([200, ROWS_MAX + 199])
    expect(tail.view.value.state).toEqual({ kind: 'following' })
  })

  it('reads and shows nothing while it is paused', async () => {
    const { tail, shown, taken } = stage([
      { pieces: Array.from({ length: 6 }, (_, i) => records(i * 10, i * 10 + 10)), end: 'wait' },
    ])
    tail.pause()
    await until(() => taken() >= 1)
    for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve))
    expect([taken(), shown()]).toEqual([1, []])
    expect(tail.view.value.state).toEqual({ kind: 'paused' })
    tail.resume()
    await until(() => shown().length === 60)
  })
})

describe('the rows of a tail', () => {
  it('are of a number, the newest', () => {
    const rows = new TailRows()
    for (const one of records(0, ROWS_MAX * 3)) rows.add(one)
    expect(rows.rows).toHaveLength(ROWS_MAX)
    expect(rows.rows.at(-1)).toMatchObject({ record: { offset: ROWS_MAX * 3 - 1 } })
    expect(rows.dropped).toBe(ROWS_MAX * 2)
  })

  it('are of a size, and one that is larger is shown alone', () => {
    const rows = new TailRows()
    for (let i = 0; i < 40; i++) rows.add(record(i, { value: 'x'.repeat(CHARS_MAX / 10) }))
    expect(rows.rows.length).toBeLessThan(10)
    expect(rows.rows.reduce((sum, { chars }) => sum + chars, 0)).toBeLessThanOrEqual(CHARS_MAX)
    rows.add(record(99, { value: { base64: 'x'.repeat(CHARS_MAX + 1) } }))
    expect(rows.rows).toMatchObject([{ record: { offset: 99 } }])
    rows.clear()
    expect([rows.rows.length, rows.dropped]).toEqual([0, 0])
  })
})
