import { expect, it } from 'vitest'
import type { Alarm } from '../../../../broker/operations/alarms/alarm.ts'
import { printAlarms } from '../../../../broker/operations/commands/alarm-rows.ts'
import { outputTo } from '../output-to.ts'

function printed(alarms: readonly Alarm[], now: number): string {
  let text = ''
  const out = outputTo((part) => {
    text += part
  })
  printAlarms(out, alarms, now)
  return text
}

it('says what is wrong, since when, and what to do; nothing in it can steer a terminal', () => {
  const alarm = {
    id: 'stream-refused',
    severity: 'warning',
    subject: 'central/events',
    summary: 'central refuses \u001b[31mevents',
    hint: 'make the topic',
    since: 1000,
  } as const
  expect(printed([alarm], 61_000)).toBe(
    '\nwarning stream-refused  central refuses \\u001b[31mevents (for 1 min)\n  make the topic\n',
  )
  expect(printed([], 1)).toBe('')
})
