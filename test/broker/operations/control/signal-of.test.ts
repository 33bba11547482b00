/**
 * The signal of an answer was `AbortSignal.any([own, closing])`, which leaves a weak reference on `closing` for each request until a full
 * collection: with a dashboard open the broker's memory grew by megabytes in minutes.
 */
import { EventEmitter, getEventListeners } from 'node:events'
import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { closingController, signalOf } from '../../../../broker/operations/control/http.ts'

/** What Node hangs on a signal besides listeners. */
function attached(signal: AbortSignal): number {
  const sizes = Object.getOwnPropertySymbols(signal)
    .map((symbol) => (signal as unknown as Record<symbol, { size?: unknown } | undefined>)[symbol]?.size)
    .filter((size) => typeof size === 'number')
  return sizes.reduce((sum, size) => sum + size, 0) + getEventListeners(signal, 'abort').length
}

test('nothing of an answer that has gone hangs on the signal that closes the server', () => {
  const closing = new AbortController()
  for (let i = 0; i < 100; i++) {
    const response = new EventEmitter()
    const signal = signalOf(response as never, closing.signal)
    expect(signal.aborted).toBe(false)
    response.emit('close')
    expect(signal.aborted).toBe(true)
  }
  expect(attached(closing.signal)).toBe(0)
})

test('the server that closes ends what is being answered, and what is only now to be answered', () => {
  const closing = new AbortController()
  const signal = signalOf(new EventEmitter() as never, closing.signal)
  closing.abort()
  expect(signal.aborted).toBe(true)
  expect(signalOf(new EventEmitter() as never, closing.signal).aborted).toBe(true)
  expect(attached(closing.signal)).toBe(0)
})

test('as many answers as a server has places are no leak that Node would warn of in the log', async () => {
  const warnings: Error[] = []
  const warned = (warning: Error) => warnings.push(warning)
  process.on('warning', warned)
  const { signal } = closingController()
  for (let i = 0; i < 64; i++) signalOf(new EventEmitter() as never, signal)
  await turn()
  process.off('warning', warned)
  expect(warnings).toEqual([])
  expect(getEventListeners(signal, 'abort')).toHaveLength(64)
})
