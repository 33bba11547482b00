/** Messages that wait in memory: no more memory than is counted. */
import { expect, it } from 'vitest'
import { CommittedMessage } from '../../../../broker/mqtt/connection/pending-commits.ts'
import { HeldMessages } from '../../../../broker/mqtt/session/held-messages.ts'
import { SESSION_LIMITS } from '../../../../broker/mqtt/session/limits.ts'

const message = (payload: Buffer) => new CommittedMessage('t', payload, 1, false)

it('a message that is held has its payload for itself: it does not keep the buffer that it came in', () => {
  const held = new HeldMessages(SESSION_LIMITS, { bytes: 0 })
  const shared = Buffer.alloc(8192, 'x')
  const one = message(shared.subarray(100, 164))
  held.hold(7, one)
  shared.fill('y')
  expect(held.get(7)!.payload).toEqual(Buffer.alloc(64, 'x'))
  expect(held.get(7)!.payload.buffer.byteLength).toBe(64)
})

it('small messages count with what they take beside their bytes', () => {
  const total = { bytes: 0 }
  const held = new HeldMessages({ ...SESSION_LIMITS, heldBytesMax: 64 * 1024 }, total)
  for (let seq = 0; seq < 2_000; seq++) held.hold(seq, message(Buffer.alloc(0)))
  expect(held.has(0)).toBe(true)
  expect(held.has(1_999)).toBe(false)
  expect(total.bytes).toBeLessThanOrEqual(64 * 1024)
  for (let seq = 0; seq < 2_000; seq++) held.drop(seq)
  expect(total.bytes).toBe(0)
})
