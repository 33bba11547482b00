/** The schedule of compaction over reloads and a stop. */
import { getTasks } from 'node-cron'
import { expect, test } from 'vitest'
import { defaultConfig } from '../../../broker/config/load.ts'
import { CompactionSchedule } from '../../../broker/operations/compaction-schedule.ts'
import { streamConfig } from '../../support/stream-config.ts'
import { RecordingSink } from '../log/support.ts'

const compacted = {
  ...defaultConfig('/data'),
  streams: [streamConfig({ name: 'states', cleanup: 'compact' })],
}

test('a reload that the stop overtakes leaves no timer that keeps the process', async () => {
  const schedule = new CompactionSchedule(async () => {}, new RecordingSink())
  const before = getTasks().size
  const followed = schedule.follow(compacted)
  await schedule.close()
  await followed
  await schedule.follow(compacted)
  expect(getTasks().size).toBe(before)
})
