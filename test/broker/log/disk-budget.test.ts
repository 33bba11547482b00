/**
 * `log.disk.bytesMax` under publishers that are faster than the janitor's rounds: it is not for the next round to see that the budget is used up.
 */
import { expect, it } from 'vitest'
import { nodeDisk } from '../../../broker/storage/node-disk.ts'
import { append, openLog, temporaryDirectory } from './support.ts'

const MB = 1_048_576
const PIECE = 'x'.repeat(MB / 4)

it('a small budget with segments and a reserve as they are by default is exceeded by no more than a sixteenth and what was admitted, twice', async () => {
  const bytesMax = 8 * MB
  const log = await openLog(nodeDisk, {
    path: temporaryDirectory(),
    segmentBytes: 32 * MB,
    admittedBytesMax: 2 * MB,
    writeBufferBytes: 4 * MB,
    budget: { bytesMax, reserveBytes: 128 * MB },
    // nothing may go
    upstreams: ['central'],
  })
  const { admission } = log.stream('events').chain
  for (let pieces = 0; pieces < 100 && !admission.isHeld; pieces++) await append(log, 0, [PIECE])
  expect(admission.isHeld).toBe(true)
  await log.close()
  const { usedBytes } = log.status().space
  expect(usedBytes).toBeGreaterThan(bytesMax / 2)
  expect(usedBytes).toBeLessThan(bytesMax * (1 + 1 / 16) + 2 * 2 * MB)
})
