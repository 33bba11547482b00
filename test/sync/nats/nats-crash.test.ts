/** Server and edge killed in turns in the middle of a backlog: what is in JetStream is the log, once and in order. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type { NatsServer } from '../../support/nats/server.ts'
import { describeWithNats } from '../../support/nats/vitest.ts'
import { testSeed } from '../../support/random.ts'
import { seededRandom } from '../stored-batches.ts'
import { expectChain, messagesOf, recordsOf } from './open-nats.ts'

const RECORDS = 24_000
const PARTITIONS = 3
/** The edge and the server by turns; most of them in the middle of a round. */
const KILLS = 12
const CHILD = join(import.meta.dirname, '../../../dist/test/support/nats/sync-child.js')

interface Life {
  /** Resolves once this life has sent so many records, or has ended. */
  sent(records: number): Promise<void>
  kill(): void
  readonly ended: Promise<{ code: number | null; errors: string }>
}

function live(server: NatsServer): Life {
  const child = spawn(process.execPath, [CHILD, server.address, String(RECORDS), String(PARTITIONS)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let count = 0
  let errors = ''
  let wake = () => {}
  child.stdout.on('data', (chunk: Buffer) => {
    count = Number(chunk.toString().trim().split('\n').at(-1))
    wake()
  })
  child.stderr.on('data', (chunk) => {
    errors += chunk
  })
  let isOver = false
  const ended = new Promise<{ code: number | null; errors: string }>((resolve) => {
    child.on('close', (code) => {
      isOver = true
      wake()
      resolve({ code, errors })
    })
  })
  return {
    async sent(records) {
      while (count < records && !isOver) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    },
    kill: () => void child.kill('SIGKILL'),
    ended,
  }
}

describeWithNats('sync to NATS, killed', (start) => {
  it('has each record once and in order after SIGKILL of the server and of the edge by turns', async () => {
    const seed = testSeed()
    const random = seededRandom(seed)
    const server = await start()
    let life = live(server)
    let killsInTheMiddle = 0
    for (let kills = 0; kills < KILLS; kills++) {
      await life.sent(1 + Math.floor((random() * RECORDS) / KILLS))
      if (kills % 2 === 0) {
        life.kill()
        if ((await life.ended).code === null) killsInTheMiddle++
        life = live(server)
      } else {
        await server.kill()
        await server.start()
      }
    }
    const last = await life.ended
    expect(last.code, `seed ${seed}: ${last.errors}`).toBe(0)
    expect(last.errors).not.toMatch(/HW_FENCED|HW_CHECKPOINT|HW_SYNC_INTERNAL/)
    expect(killsInTheMiddle, `seed ${seed}`).toBeGreaterThan(2)
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const messages = await messagesOf(server.address, 'events', partition)
      expectChain(messages)
      const values = recordsOf(messages).map(({ value }) => value)
      const expected = Array.from({ length: RECORDS / PARTITIONS }, (_, i) => `events/${partition}/${i}`)
      expect(values, `seed ${seed}`).toEqual(expected)
    }
  }, 180_000)
})
