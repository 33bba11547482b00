/**
 * Every alarm there is, on a broker that runs: the state it describes makes it appear wherever alarms are shown, and what docs/operate.md has an
 * operator do makes it go.
 */
import { afterEach, describe, expect, it } from 'vitest'
import { ALARMS } from '../../../../../broker/operations/alarms/catalogue.ts'
import { describeWithKafka } from '../../../../support/kafka/index.ts'
import { Edge, removeScratch } from './edge.ts'
import { CERTIFICATE_PROVOCATIONS } from './of-certificates.ts'
import { CLIENT_PROVOCATIONS } from './of-clients.ts'
import { LOG_PROVOCATIONS } from './of-the-log.ts'
import { SYNC_PROVOCATIONS } from './of-upstreams.ts'
import type { Provocation } from './provocation.ts'

const PROVOCATIONS: Readonly<Record<string, Provocation>> = {
  ...LOG_PROVOCATIONS,
  ...SYNC_PROVOCATIONS,
  ...CERTIFICATE_PROVOCATIONS,
  ...CLIENT_PROVOCATIONS,
}
/** Longer than what any alarm takes to open or to close, seconds. */
const LEAP_SECONDS_MAX = 3 * 3600

let running: Edge | undefined
afterEach(async () => {
  await running?.stop()
  running = undefined
  removeScratch()
})

async function expectShown(
  edge: Edge,
  id: string,
  { severity, subject: named, summary }: Provocation,
): Promise<void> {
  const subject = typeof named === 'string' ? named : named()
  const found = (await edge.alarms()).filter((alarm) => alarm.id === id)
  expect(found).toMatchObject([{ id, severity, subject, summary: expect.stringMatching(summary) }])
  const { hint } = found[0]!
  expect(hint).toMatch(/\w/)
  const whole = JSON.parse(await edge.get('/api/v1/status')) as { alarms: { id: string }[] }
  expect(whole.alarms.map((alarm) => alarm.id)).toContain(id)
  const metrics = await edge.get('/metrics')
  expect(metrics).toContain(`headwater_alarm_open{id="${id}",severity="${severity}",subject="${subject}"} 1`)
  expect(metrics).toMatch(new RegExp(`^headwater_alarms\\{severity="${severity}"\\} [1-9]`, 'm'))
  const status = (await edge.status()).split('\n')
  const at = status.findIndex((line) => line.startsWith(`${severity} ${id}  `))
  expect(status[at]).toMatch(summary)
  expect(status[at + 1]).toBe(`  ${hint}`)
}

async function expectGone(edge: Edge, id: string): Promise<void> {
  expect(await edge.alarms()).toEqual([])
  expect(await edge.get('/metrics')).not.toContain(`id="${id}"`)
  expect(await edge.status()).not.toMatch(new RegExp(`^(critical|warning|info) ${id}  `, 'm'))
}

const entries = Object.entries(PROVOCATIONS)
const isShared = ([, { takesKafka = false }]: (typeof entries)[number]) => takesKafka

const idOf = (name: string) => name.split(': ')[0]!

async function provoked(name: string, provocation: Provocation): Promise<void> {
  const id = idOf(name)
  running = await provocation.provoke()
  await running.alarm(id, true, LEAP_SECONDS_MAX)
  await expectShown(running, id, provocation)
  const mended = await provocation.mend(running)
  if (mended instanceof Edge) running = mended
  // with all that came along
  for (const other of await running.alarms()) await running.alarm(other.id, false, LEAP_SECONDS_MAX)
  await expectGone(running, id)
}

describe('shown while its state lasts, gone when the operator has done what the document says', () => {
  const own = entries.filter((entry) => !isShared(entry))
  it.each(own)('%s', (name, provocation) => provoked(name, provocation), 60_000)

  describeWithKafka('with a cluster', () => {
    it.each(entries.filter(isShared))('%s', (name, provocation) => provoked(name, provocation), 60_000)
  })
})

it('there is no alarm that nothing here provokes', () => {
  expect([...new Set(Object.keys(PROVOCATIONS).map(idOf))].toSorted()).toEqual(Object.keys(ALARMS).toSorted())
})
