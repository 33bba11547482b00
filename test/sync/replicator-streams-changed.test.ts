/** A link that lets urgent streams alone pass, while streams come and priorities change. */
import { expect, it } from 'vitest'
import { MemoryLog } from './memory-log.ts'
import { NIGHT, withLink } from './replicator-link-setup.ts'
import { settle, valuesOf } from './replicator-setup.ts'

const schedule = { ...NIGHT, outside: 'urgent' as const }

it('an urgent stream that is new passes, although none was urgent when the link was looked at first', async () => {
  const log = new MemoryLog().addStream('events', 1)
  const { upstream, clock, replicator } = await withLink({ schedule }, { log })
  log.appendMany('events', 0, 10)
  replicator.start()
  await settle()
  expect(upstream.recovers).toBe(0)
  log.addStream('alarms', 1)
  log.priorities.set('alarms', 8)
  replicator.streamsChanged()
  log.appendMany('alarms', 0, 2)
  await settle()
  clock.advance(100)
  await settle()
  expect(upstream.values.get('alarms/0')).toEqual(valuesOf(0, 2, 'alarms/0'))
  expect(upstream.values.has('events/0')).toBe(false)
})

it('a stream that is made urgent passes, and one that is not urgent any more waits', async () => {
  const log = new MemoryLog().addStream('events', 1).addStream('alarms', 1)
  log.priorities.set('alarms', 8)
  const { upstream, clock, replicator } = await withLink({ schedule }, { log })
  log.appendMany('events', 0, 10)
  replicator.start()
  await settle()
  log.priorities.set('events', 9)
  log.priorities.set('alarms', 1)
  replicator.streamsChanged()
  log.appendMany('alarms', 0, 2)
  await settle()
  clock.advance(100)
  await settle()
  expect(upstream.values.get('events/0')).toEqual(valuesOf(0, 10))
  expect(upstream.values.has('alarms/0')).toBe(false)
})
