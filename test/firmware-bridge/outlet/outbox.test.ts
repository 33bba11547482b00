import { describe, expect, it } from 'vitest'
import { Outbox, type OutboxLimits } from '../../../firmware-bridge/outlet/outbox.ts'
import type { PublishResult } from '../../../firmware-bridge/uplink/uplink.ts'
import { eventually, ManualClock, RecordingLog } from '../support.ts'
import { FakeUplink } from './fake-uplink.ts'

const ROOMY: OutboxLimits = { queueMessagesMax: 100, queueBytesMax: 100_000 }

function setUp(limits: OutboxLimits = ROOMY) {
  const uplink = new FakeUplink()
  const clock = new ManualClock()
  const log = new RecordingLog()
  const outbox = new Outbox('bridge-x', limits, { uplink, clock, log, random: () => 1 })
  const offer = (text: string) => outbox.offer('t', Buffer.from(text), { p: '1' })
  return { uplink, clock, log, outbox, offer }
}

const payloads = (uplink: FakeUplink) => uplink.texts.map(([, payload]) => payload)
const numbers = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => String(from + i))

describe('an outbox', () => {
  it('publishes in order with QoS 1 on a session of its own, once there is one', async () => {
    const { uplink, clock, log, outbox, offer } = setUp()
    uplink.connectFailures.push(new Error('the broker is away'))
    offer('1')
    outbox.start()
    await eventually(() => expect(outbox.trouble).toBe('the broker is away'))
    offer('2')
    clock.advance(250)
    await eventually(() => expect(outbox.counters.accepted).toBe(2))
    offer('3')
    await eventually(() => expect(outbox.counters.accepted).toBe(3))
    expect(uplink.published[0]).toMatchObject({
      topic: 't',
      qos: 1,
      isRetained: false,
      messageId: 1,
      isDup: false,
      properties: { p: '1' },
    })
    expect(payloads(uplink)).toEqual(['1', '2', '3'])
    expect(uplink.connects[0]).toMatchObject({ clientId: 'bridge-x', isClean: true, will: null })
    expect(outbox.trouble).toBeNull()
    expect(log.lines.length).toBe(1)
    await outbox.stop()
    expect(uplink.ended).toEqual(['clean'])
  })

  it('drops the oldest when it is full, counts them and says so', async () => {
    const { uplink, log, outbox, offer } = setUp({ queueMessagesMax: 3, queueBytesMax: 100_000 })
    for (const text of numbers(1, 10)) offer(text)
    expect(outbox.isFull).toBe(true)
    expect(outbox.length).toBe(3)
    outbox.start()
    await eventually(() =>
      expect(outbox.counters).toEqual({ accepted: 3, refused: 0, dropped: 7, congested: 0 }),
    )
    expect(payloads(uplink)).toEqual(['8', '9', '10'])
    expect(log.matching('the oldest messages are dropped').length).toBe(1)
  })

  it('is bounded in bytes, too, but takes one message of any size', async () => {
    const { uplink, outbox, offer } = setUp({ queueMessagesMax: 100, queueBytesMax: 1024 })
    for (let i = 0; i < 10; i++) offer(`${i}`.repeat(300))
    expect(outbox.length).toBe(3)
    offer('x'.repeat(5000))
    expect(outbox.length).toBe(1)
    outbox.start()
    await eventually(() => expect(payloads(uplink)).toEqual(['x'.repeat(5000)]))
  })

  it('tells when there is room again, at half', async () => {
    const { uplink, outbox, offer } = setUp({ queueMessagesMax: 10, queueBytesMax: 100_000 })
    const open: ((result: PublishResult) => void)[] = []
    uplink.answer = () => new Promise((resolve) => open.push(resolve))
    let told = 0
    outbox.onRoom = () => {
      told++
    }
    outbox.start()
    for (const text of numbers(1, 10)) offer(text)
    expect(outbox.isFull).toBe(true)
    await eventually(() => expect(open.length).toBe(8))
    for (const left of [9, 8, 7, 6]) {
      open.shift()!({ kind: 'accepted' })
      await eventually(() => expect(outbox.length).toBe(left))
    }
    expect([told, outbox.isFull]).toEqual([0, true])
    open.shift()!({ kind: 'accepted' })
    await eventually(() => expect(told).toBe(1))
    expect(outbox.isFull).toBe(false)
  })

  it('sends again, in order and as a repetition, what the broker could not take', async () => {
    const { uplink, clock, outbox, offer } = setUp()
    uplink.answer = () => ({ kind: 'congested' })
    outbox.start()
    for (const text of numbers(1, 12)) offer(text)
    await eventually(() => expect(outbox.counters.congested).toBe(8))
    expect(payloads(uplink)).toEqual(numbers(1, 8))
    uplink.answer = () => ({ kind: 'accepted' })
    await eventually(() => expect(clock.waits.length).toBe(1))
    clock.advance(250)
    await eventually(() => expect(outbox.counters.accepted).toBe(12))
    const again = uplink.published.slice(8)
    expect(again.map(({ payload }) => Buffer.from(payload).toString())).toEqual(numbers(1, 12))
    expect(again.map(({ isDup }) => isDup)).toEqual([...Array(8).fill(true), ...Array(4).fill(false)])
    expect(again.map(({ messageId }) => messageId)).toEqual(numbers(1, 12).map(Number))
  })

  it('waits longer each time that the broker can take nothing', async () => {
    const { uplink, clock, outbox, offer } = setUp()
    uplink.answer = () => ({ kind: 'congested' })
    outbox.start()
    offer('1')
    const waits: number[] = []
    for (let i = 0; i < 8; i++) {
      await eventually(() => expect(clock.waits.length).toBe(1))
      waits.push(clock.waits[0]!)
      clock.advance(waits.at(-1)!)
    }
    expect(waits).toEqual([250, 500, 1000, 2000, 4000, 8000, 15_000, 15_000])
  })

  it('counts what the broker refuses and goes on', async () => {
    const { uplink, log, outbox, offer } = setUp()
    uplink.answer = ({ payload }) =>
      Buffer.from(payload).toString() === '2'
        ? { kind: 'refused', reason: 'not authorised' }
        : { kind: 'accepted' }
    outbox.start()
    for (const text of numbers(1, 3)) offer(text)
    await eventually(() => expect(outbox.counters).toMatchObject({ accepted: 2, refused: 1 }))
    expect(log.matching('not authorised').length).toBe(1)
    expect(outbox.length).toBe(0)
  })

  it('connects again when its session is ended, also while it waits to repeat', async () => {
    const { uplink, clock, outbox, offer } = setUp()
    uplink.answer = () => ({ kind: 'congested' })
    outbox.start()
    offer('1')
    await eventually(() => expect(clock.waits.length).toBe(1))
    uplink.connects[0]!.listener.onEnded('taken over')
    expect(outbox.trouble).toContain('taken over')
    uplink.answer = () => ({ kind: 'accepted' })
    clock.advance(1000)
    await eventually(() => expect(outbox.counters.accepted).toBe(1))
    expect(uplink.connects.length).toBe(2)
    expect(outbox.trouble).toBeNull()
  })

  it('waits for what is under way when it stops, but not for ever', async () => {
    const { uplink, clock, outbox, offer } = setUp()
    let accept = (_result: PublishResult) => {}
    uplink.answer = () =>
      new Promise((resolve) => {
        accept = resolve
      })
    outbox.start()
    offer('1')
    await eventually(() => expect(uplink.published.length).toBe(1))
    const stopped = outbox.stop()
    expect(uplink.ended).toEqual([])
    accept({ kind: 'accepted' })
    await stopped
    expect(outbox.counters.accepted).toBe(1)
    expect(uplink.ended).toEqual(['clean'])

    const other = setUp()
    other.uplink.answer = () => new Promise(() => {})
    other.outbox.start()
    other.offer('1')
    await eventually(() => expect(other.uplink.published.length).toBe(1))
    const otherStopped = other.outbox.stop()
    other.clock.advance(3000)
    await otherStopped
    expect(other.uplink.ended).toEqual(['clean'])
    clock.advance(100_000)
  })
})
