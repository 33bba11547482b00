/**
 * A disk that stays full while clients send again and again: each reopening succeeded and each next commit failed, every tenth
 * of a second, with three lines in the journal each time.
 */
import { expect, it } from 'vitest'
import type { EventLog } from '../../../broker/log/event-log.ts'
import { FaultyDisk } from '../../support/faulty-disk.ts'
import { MemoryDisk } from '../../support/memory-disk.ts'
import { append, openLog, RecordingSink, readAll, temporaryDirectory, until } from './support.ts'

const isOpen = (log: EventLog) => until(() => log.status().condition === 'open', 'the log is open')

it('is told once when it begins and once when it is over, however often a commit fails between', async () => {
  const disk = new FaultyDisk(new MemoryDisk())
  const sink = new RecordingSink()
  const log = await openLog(disk, { path: temporaryDirectory(), sink })
  disk.fail({ on: 'sync', times: 3, code: 'ENOSPC', isKept: false })
  for (const value of ['a', 'b', 'c']) {
    await expect(append(log, 0, [value])).rejects.toMatchObject({ code: 'HW_COMMIT_FAILED' })
    await isOpen(log)
  }
  await append(log, 0, ['d'])
  expect(sink.lines.map(({ message }) => message)).toEqual([
    'a commit failed; the log opens again by itself',
    'the log is open again',
    'the log commits again',
  ])
  expect(sink.matching('commits again')[0]!.fields).toMatchObject({ failures: 3 })
  expect(log.status()).toMatchObject({ failedCommits: 3, failedRecords: 3 })
  expect(await readAll(log, 0)).toEqual(['0:d'])
  await log.close()
})
