/** What takes more than one look: charts, alarms, wear. */
import { expect, it } from 'vitest'
import type { BrokerStatus } from '../../../broker/operations/operations.ts'
import { Watch, type WatchWorld } from '../../../broker/operations/watch.ts'
import { FakeLog, fakeOperations, fakeStatus } from './fake-log.ts'
import { fakeUpstream } from './fake-sync.ts'

const START = 1_700_000_000_000

function watched() {
  const state = {
    seconds: 0,
    writtenBytes: 0 as number | null,
    status: fakeStatus as BrokerStatus,
    lagRecords: 0,
  }
  const world: WatchWorld = {
    now: () => START + state.seconds * 1000,
    monotonic: () => state.seconds * 1000,
    residentBytes: () => 6e7,
    heldBytes: () => 6e7,
    memoryBytesMax: () => null,
    writtenBytes: () => state.writtenBytes,
    every: () => () => {},
  }
  const commands = { pause() {}, resume() {}, now() {}, rewind: async () => [] }
  const status = () => [
    fakeUpstream({ state: 'backoff', tries: 3, lagRecords: state.lagRecords, lagBytes: 100 }),
  ]
  const sync = { status, onChange: () => () => {}, ...commands }
  const operations = { ...fakeOperations(new FakeLog({ events: 1 }), sync), status: () => state.status }
  const watch = new Watch(operations, 1e12, world)
  const pass = (seconds: number) => {
    for (const end = state.seconds + seconds; state.seconds < end; ) {
      state.seconds += 5
      watch.look()
    }
  }
  return { state, watch, pass }
}

it('alarms open since they were found first, close when they are over, and the history goes on', () => {
  const { state, watch, pass } = watched()
  expect(watch.alarms()).toEqual([])
  state.lagRecords = 7
  const { log } = fakeStatus
  state.status = { ...fakeStatus, log: { ...log, space: { ...log.space, isFull: true } } }
  pass(5)
  expect(watch.alarms()).toMatchObject([{ id: 'disk-full', since: START + 5000 }])
  pass(600)
  expect(watch.alarms()).toMatchObject([
    { id: 'disk-full', since: START + 5000 },
    { id: 'upstream-stalled', subject: 'archive', since: START + 5000 },
  ])
  state.status = fakeStatus
  state.lagRecords = 0
  pass(120)
  expect(watch.alarms()).toEqual([])
  const { samples } = watch.history()
  expect(samples).toHaveLength(145)
  expect(samples[100]).toMatchObject({
    lagRecords: 7,
    lagBytes: 100,
    connections: fakeStatus.mqtt.connections,
  })
  expect(watch.history(START + 715_000).samples.map(({ at }) => at)).toEqual([
    START + 720_000,
    START + 725_000,
  ])
})

it('what waits for a restart is told until nothing does', () => {
  const { watch, pass } = watched()
  watch.needsRestart(['data'])
  pass(5)
  expect(watch.alarms()).toMatchObject([{ id: 'restart-needed', severity: 'info' }])
  watch.needsRestart([])
  pass(5)
  expect(watch.alarms()).toEqual([])
})

it('a card that is written to too much is told once that is certain', () => {
  const { state, watch, pass } = watched()
  for (let i = 0; i < 240; i++) {
    state.writtenBytes = (state.writtenBytes ?? 0) + 5 * 100_000
    pass(5)
  }
  expect(watch.wear()).toMatchObject({ bytesPerSecond: 100_000, lifeSeconds: 1e7 })
  expect(watch.alarms()).toMatchObject([{ id: 'card-life-short' }])
})
