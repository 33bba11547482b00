/** Lost records are shown before somebody says to know of them. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { CommandContext } from '../../../../broker/operations/commands/context.ts'
import { runLogAcknowledge } from '../../../../broker/operations/commands/log-acknowledge.ts'
import { ControlServer } from '../../../../broker/operations/control/control-server.ts'
import { controlRoutes } from '../../../../broker/operations/control/routes.ts'
import type { Operations } from '../../../../broker/operations/operations.ts'
import { Output } from '../../../../broker/operations/terminal/output.ts'
import { FakeLog, fakeOperations } from '../fake-log.ts'

const LOST = 'lost  events/0 offsets 40 to 43\nat most 4 records lost\n1 damaged segment in quarantine\n'

let directory: string
let server: ControlServer
let operations: Operations
let printed = ''
let asked: string[] = []
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'headwater-acknowledge-'))
  operations = fakeOperations(new FakeLog({ events: 1 }))
  server = await ControlServer.start(directory, controlRoutes(operations))
  printed = ''
  asked = []
})
afterEach(async () => {
  await server.close()
  rmSync(directory, { recursive: true, force: true })
})

/** @param answer null: nobody is there */
function run(answer: boolean | null, options: { yes?: boolean; json?: boolean } = {}): Promise<number> {
  const stream = {
    isTTY: false,
    write(text: string | Uint8Array) {
      printed += String(text)
      return true
    },
    once() {},
  }
  const confirm = async (question: string) => {
    asked.push(question)
    return answer === true
  }
  const out = new Output(stream, {})
  const context = {
    out,
    err: out,
    env: {},
    signal: new AbortController().signal,
    ...(answer === null ? {} : { confirm }),
  } as unknown as CommandContext
  return runLogAcknowledge(context, { data: directory, yes: false, json: false, ...options })
}

it('who confirms has seen what is lost; then nothing is left to be acknowledged', async () => {
  expect(await run(true)).toBe(0)
  expect(asked).toHaveLength(1)
  expect(printed).toBe(`${LOST}acknowledged: the alarm log-damaged ends, until there is more\n`)
  expect(operations.damage().lostOffsets).toBe(0)
  printed = ''
  expect(await run(null)).toBe(0)
  expect(printed).toBe('nothing is to be acknowledged\n')
})

it('who does not confirm leaves it as it is', async () => {
  expect(await run(false)).toBe(1)
  expect(printed).toBe(`${LOST}nothing was acknowledged\n`)
  expect(operations.damage().lostOffsets).toBe(4)
})

it('where nobody is there it takes --yes', async () => {
  await expect(run(null)).rejects.toMatchObject({ code: 'HW_USAGE', hint: expect.stringContaining('--yes') })
  expect(operations.damage().lostOffsets).toBe(4)
  printed = ''
  expect(await run(null, { yes: true, json: true })).toBe(0)
  expect(JSON.parse(printed)).toMatchObject({ acknowledged: true, lostOffsets: 4 })
  expect(asked).toEqual([])
})

it('what was lost while somebody thought is not acknowledged', async () => {
  const { damage } = operations
  const more = { ...damage(), lostOffsets: 3 }
  let looks = 0
  // what is shown is less than what there is by the time of the answer
  operations.damage = () => (looks++ === 0 ? more : damage())
  await expect(run(true)).rejects.toMatchObject({ code: 'HW_USAGE' })
  expect(damage().lostOffsets).toBe(4)
})
