/**
 * A commit that landed after the cursor had found nothing, and before the replicator was idle, raised no signal: the record
 * lay there until another one came.
 */
import { expect, it } from 'vitest'
import { MemoryLog } from './memory-log.ts'
import { OPTIONS, settle, setUp, valuesOf } from './replicator-setup.ts'

it('sends what is committed while it falls idle, without waiting for another commit', async () => {
  const log = new MemoryLog().addStream('events', 1)
  const openCursor = log.openCursor.bind(log)
  let isLate = true
  log.openCursor = (from) => {
    const cursor = openCursor(from)
    const next = cursor.next.bind(cursor)
    cursor.next = async (bytesMax) => {
      const batches = await next(bytesMax)
      if (batches.length === 0 && isLate) {
        isLate = false
        log.appendMany('events', 0, 1)
      }
      return batches
    }
    return cursor
  }
  const { upstream, clock, replicator } = setUp({ log })
  replicator.start()
  await settle()
  clock.advance(OPTIONS.round.lingerMs)
  await settle()
  expect(upstream.values.get('events/0')).toEqual(valuesOf(0, 1))
})
