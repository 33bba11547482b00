/** Upstreams that come, change and go under a running broker: exact, each alone, and nothing of the others ends. */
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Broker } from '../../broker/broker.ts'
import { defaultConfig } from '../../broker/config/load.ts'
import type { Config, UpstreamEntry } from '../../broker/config/schema.ts'
import { UpstreamFloors } from '../../broker/log/upstream-floors.ts'
import type { UpstreamEvent } from '../../broker/operations/operations.ts'
import { type RunningDownlink, type RunningReplication, RunningUpstreams } from '../../cli/running-sync.ts'
import { startSync } from '../../cli/start-sync.ts'
import { type AuditedLog, createAuditSource, type UpstreamConfig, verifyUpstream } from '../../sync/index.ts'
import { RecordingSink, until } from '../broker/log/support.ts'
import { dataDirectory, RawClient, startBroker } from '../broker/mqtt/support.ts'
import { streamConfig } from '../support/stream-config.ts'

const NO_SECRETS = new Set<string>()

const archive = (name: string, directory: string, more: object = {}): UpstreamEntry => ({
  name,
  kind: 'archive',
  directory,
  fileBytesMax: 65_536,
  round: { bytesMax: 16_384, lingerMs: 0 },
  backoff: { firstMs: 10, msMax: 100 },
  ...more,
})

const withUpstreams = (config: object, upstreams: UpstreamEntry[]): Config =>
  ({ ...config, upstreams, downlinks: [] }) as unknown as Config

async function isExact(broker: Broker, entry: UpstreamEntry): Promise<number> {
  const config = entry as unknown as UpstreamConfig
  const source = await createAuditSource(config)
  try {
    const { log } = broker
    const positions = new Map(
      log
        .partitions()
        .map(({ stream, partition, durableOffset }) => [`${stream}/${partition}`, durableOffset]),
    )
    const audited: AuditedLog = {
      identity: log.identity,
      partitions: async () => log.partitions(),
      async read(stream, partition, offset) {
        const batches = await log.read(stream, partition, offset, 1e6)
        return batches.map(({ bytes }) => bytes)
      },
    }
    const { signal } = new AbortController()
    const report = await verifyUpstream(audited, source, { positions }, () => {}, signal)
    const { isWhole, partitions } = report
    expect(isWhole).toBe(true)
    return partitions.reduce((sum, { compared }) => sum + compared, 0)
  } finally {
    await source.close()
  }
}

test('an upstream that is replaced again and again while it sends has each record once', async () => {
  const root = dataDirectory()
  const { broker, config, port, sink } = await startBroker()
  const central = (more: object) => archive('central', join(root, 'central'), more)
  const second = archive('second', join(root, 'second'))
  const running = await startSync(withUpstreams(config, [central({})]), broker, sink)
  const client = await RawClient.connect(port, 'c')
  let isDone = false
  let sent = 0
  const publishing = (async () => {
    while (!isDone) {
      for (let id = 1; id <= 20; id++) client.publish(1, id, 'x'.repeat(400), { topic: `t/${id % 7}` })
      for (let id = 1; id <= 20; id++) await client.next('puback')
      sent += 20
    }
  })()
  try {
    for (let turn = 1; turn <= 12; turn++) {
      const entries = [central({ round: { bytesMax: 16_384 + turn, lingerMs: 0 } })]
      // the second comes and goes; it goes on where it was
      if (turn % 3 !== 0) entries.push(second)
      const report = await running.apply!(withUpstreams(config, entries), NO_SECRETS)
      expect(report.needsRestart).toEqual([])
      const before = sent
      await until(() => sent > before + 40, 'messages come meanwhile')
    }
    isDone = true
    await publishing
    const last = [central({}), second]
    await running.apply!(withUpstreams(config, last), NO_SECRETS)
    const lags = () => running.operations.status().map(({ lagRecords }) => lagRecords)
    await until(() => lags().every((lag) => lag === 0), 'both have all', 30_000)
    for (const entry of last) expect(await isExact(broker, entry)).toBe(sent)
  } finally {
    isDone = true
    await running.close()
  }
}, 90_000)

test('routes, streams and upstreams change together under load: each record is upstream once', async () => {
  const root = dataDirectory()
  const { broker, config, port, sink } = await startBroker()
  const alarms = streamConfig({ name: 'alarms', topics: ['t/1', 't/2'], partitions: 1 })
  const states = streamConfig({ name: 'states', topics: ['t/3'], partitions: 2, cleanup: 'compact' })
  const events = streamConfig({ name: 'events' })
  const central = archive('central', join(root, 'central'))
  const running = await startSync(withUpstreams(config, [central]), broker, sink)
  const client = await RawClient.connect(port, 'c')
  let sent = 0
  try {
    for (const streams of [
      [alarms, events],
      [states, alarms, events],
      [events],
      [{ ...alarms, priority: 9 }, events],
    ]) {
      for (let id = 1; id <= 100; id++) client.publish(1, id, `v${id}`, { topic: `t/${id % 7}` })
      await broker.applyConfig({ ...structuredClone(config), streams })
      await running.apply!(withUpstreams(config, [central]), NO_SECRETS)
      for (let id = 1; id <= 100; id++) await client.next('puback')
      sent += 100
    }
    const [status] = running.operations.status()
    expect(status!.name).toBe('central')
    await until(() => running.operations.status()[0]!.lagRecords === 0, 'it has all', 30_000)
    expect(broker.log.streams().map(({ stream }) => stream)).toEqual(['events', 'alarms', 'states'])
    expect(await isExact(broker, central)).toBe(sent)
  } finally {
    await running.close()
  }
}, 60_000)

test('retention waits for an upstream that comes, and no longer for one that has gone', async () => {
  const root = dataDirectory()
  const { broker, config, port, sink } = await startBroker()
  const running = await startSync(withUpstreams(config, []), broker, sink)
  const client = await RawClient.connect(port, 'c')
  client.publish(1, 1, 'v')
  await client.next('puback')
  const [state] = broker.log.partitions().filter(({ durableOffset }) => durableOffset > 0)
  const floor = () => broker.log.floors.of('events', state!.partition)
  expect(floor()).toBe(Number.POSITIVE_INFINITY)
  // a directory that cannot be made: it never has anything
  const away = archive('away', '/dev/null/away')
  await running.apply!(withUpstreams(config, [away]), NO_SECRETS)
  expect(floor()).toBe(0)
  await running.apply!(withUpstreams(config, [archive('there', join(root, 'there'))]), NO_SECRETS)
  await until(() => floor() === 1, 'it has the record')
  await running.apply!(withUpstreams(config, []), NO_SECRETS)
  expect(floor()).toBe(Number.POSITIVE_INFINITY)
  await running.close()
})

// -- with stand-ins ---------------------------------------------------------------------------------------------------

function standIns() {
  const calls: string[] = []
  const hanging = new Map<string, Promise<void>>()
  const failing = new Set<string>()
  /** Taken out once it is waited for. */
  const creating = new Map<string, Promise<void>>()
  const sink = new RecordingSink()
  const base = (label: string) => ({
    pause: () => {},
    resume: () => {},
    now: () => {},
    start: () => void calls.push(`start ${label}`),
    async close() {
      calls.push(`close ${label}`)
    },
  })
  const floors = new UpstreamFloors([])
  const running = new RunningUpstreams(
    {
      floors,
      sink,
      async createReplication(entry) {
        const label = `${entry.name} ${entry.version}`
        if (failing.has(label)) throw new Error('no such thing')
        const made = creating.get(label)
        creating.delete(label)
        await made
        calls.push(`create ${label}`)
        return {
          ...base(label),
          get leftBehind() {
            return hanging.get(label) ?? null
          },
          status: () => ({ name: label }),
          onChange: (listener: (event: UpstreamEvent) => void) => {
            calls.push(`heard ${label}`)
            listener({} as UpstreamEvent)
            return () => void calls.push(`unheard ${label}`)
          },
          streamsChanged: () => void calls.push(`streams ${label}`),
          positions: () => new Map([['events/0', 5]]),
        } as unknown as RunningReplication
      },
      async createDownlink(entry, upstreams) {
        const label = `${entry.name} of ${upstreams.map(({ name }) => name).join('+')}`
        calls.push(`create ${label}`)
        return { ...base(label), status: () => ({ name: label }) } as unknown as RunningDownlink
      },
    },
    20,
  )
  const config = (upstreams: [name: string, version: number][], downlinks: string[] = []): Config => ({
    ...defaultConfig('/data'),
    upstreams: upstreams.map(([name, version]) => ({ name, kind: 'x', version })),
    downlinks: downlinks.map((name) => ({ name })),
  })
  const done = () => calls.splice(0)
  return { running, floors, config, done, hanging, creating, failing, sink }
}

test('what has not changed goes on; what changes is closed before anything begins', async () => {
  const { running, config, done } = standIns()
  await running.start(
    config([
      ['a', 1],
      ['b', 1],
      ['c', 1],
    ]),
  ) // prettier-ignore
  done()
  const { applied } = await running.apply(
    config([
      ['d', 1],
      ['b', 2],
      ['a', 1],
    ]),
    NO_SECRETS,
  ) // prettier-ignore
  expect(done()).toEqual([
    'close c 1',
    'close b 1',
    'create b 2',
    'start b 2',
    'create d 1',
    'start d 1',
    'streams a 1',
  ])
  expect(applied).toEqual([
    'upstreams.c: removed; what it has acknowledged stays remembered',
    'upstreams.d: added',
    'upstreams.b.version: 1 -> 2',
  ])
  expect(running.operations.status().map(({ name }) => name)).toEqual(['d 1', 'b 2', 'a 1'])
})

test('downlinks begin anew when they or the upstreams change, and not otherwise', async () => {
  const { running, config, done } = standIns()
  await running.start(config([['a', 1]], ['x', 'y']))
  done()
  await running.apply(config([['a', 1]], ['x']), NO_SECRETS)
  expect(done()).toEqual(['close y of a', 'streams a 1'])
  await running.apply(
    config(
      [
        ['a', 1],
        ['b', 1],
      ],
      ['x'],
    ),
    NO_SECRETS,
  ) // prettier-ignore
  expect(done()).toEqual([
    'close x of a',
    'create b 1',
    'start b 1',
    'create x of a+b',
    'start x of a+b',
    'streams a 1',
  ])
})

test('a call that does not come back holds up its own upstream alone, until it has', async () => {
  const { running, config, done, hanging, sink } = standIns()
  await running.start(
    config([
      ['a', 1],
      ['b', 1],
    ]),
  ) // prettier-ignore
  done()
  let end = () => {}
  hanging.set('a 1', new Promise((resolve) => (end = resolve))) // prettier-ignore
  const report = await running.apply(
    config([
      ['a', 2],
      ['b', 2],
    ]),
    NO_SECRETS,
  ) // prettier-ignore
  expect(done().filter((call) => call.startsWith('create'))).toEqual(['create b 2'])
  expect(report.needsRestart).toEqual([
    { key: 'upstreams.a', reason: expect.stringContaining('a call to it has not come back') },
  ])
  end()
  await until(() => sink.matching('runs as it is configured now').length > 0, 'it begins')
  expect(done()).toEqual(['create a 2', 'start a 2'])
  expect(running.operations.status().map(({ name }) => name)).toEqual(['a 2', 'b 2'])
})

test('one that was changed again meanwhile begins once, as it is last', async () => {
  const { running, config, done, hanging } = standIns()
  await running.start(config([['a', 1]]))
  let end = () => {}
  hanging.set('a 1', new Promise((resolve) => (end = resolve))) // prettier-ignore
  await running.apply(config([['a', 2]]), NO_SECRETS)
  await running.apply(config([['a', 3]]), NO_SECRETS)
  done()
  end()
  await until(() => running.operations.status()[0]?.name === 'a 3', 'it begins')
  expect(done().filter((call) => call.startsWith('create'))).toEqual(['create a 3'])
})

test('one that cannot begin is told, retention waits for it, and the others begin', async () => {
  const { running, config, floors, failing, done } = standIns()
  await running.start(config([]))
  failing.add('a 1')
  const report = await running.apply(
    config([
      ['a', 1],
      ['b', 1],
    ]),
    NO_SECRETS,
  ) // prettier-ignore
  expect(done()).toEqual(['create b 1', 'start b 1'])
  expect(report.needsRestart).toMatchObject([{ key: 'upstreams.a', reason: 'no such thing' }])
  expect(floors.of('events', 0)).toBe(0)
})

test('who listens to upstreams hears those that come, and no more those that have gone', async () => {
  const { running, config, done } = standIns()
  await running.start(config([['a', 1]]))
  const stop = running.operations.onChange(() => {})
  done()
  await running.apply(config([['b', 1]]), NO_SECRETS)
  expect(done().filter((call) => call.includes('heard'))).toEqual(['unheard a 1', 'heard b 1'])
  stop()
  expect(done()).toEqual(['unheard b 1'])
})

test('one that is removed while a call to it hangs, and comes back, begins once that call has ended', async () => {
  const { running, config, done, hanging, floors } = standIns()
  await running.start(config([['a', 1]]))
  let end = () => {}
  hanging.set('a 1', new Promise((resolve) => (end = resolve))) // prettier-ignore
  await running.apply(config([]), NO_SECRETS)
  expect(floors.of('events', 0)).toBe(Number.POSITIVE_INFINITY)
  done()
  const report = await running.apply(config([['a', 2]]), NO_SECRETS)
  expect(done()).toEqual([])
  expect(floors.of('events', 0)).toBe(0)
  expect(report.needsRestart).toMatchObject([{ key: 'upstreams.a' }])
  end()
  await until(() => running.operations.status()[0]?.name === 'a 2', 'it begins')
  expect(done()).toEqual(['create a 2', 'start a 2'])
})

test('one that begins late while it is changed again is closed before its successor begins', async () => {
  const { running, config, done, hanging, creating } = standIns()
  await running.start(config([['a', 1]]))
  let end = () => {}
  hanging.set('a 1', new Promise((resolve) => (end = resolve))) // prettier-ignore
  await running.apply(config([['a', 2]]), NO_SECRETS)
  done()
  let create = () => {}
  creating.set('a 2', new Promise((resolve) => (create = resolve))) // prettier-ignore
  end()
  await until(() => creating.size === 0, 'it is being made')
  const applied = running.apply(config([['a', 3]]), NO_SECRETS)
  await new Promise((resolve) => setImmediate(resolve))
  create()
  await applied
  expect(done()).toEqual(['create a 2', 'start a 2', 'close a 2', 'create a 3', 'start a 3'])
  expect(running.operations.status().map(({ name }) => name)).toEqual(['a 3'])
})

test('retention waits for an upstream before the broker takes the rest up, and no more if it does not', async () => {
  const { running, config, floors } = standIns()
  await running.start(config([['a', 1]]))
  const wanted = config([
    ['a', 1],
    ['b', 1],
  ]) // prettier-ignore
  const takeBack = running.expect(wanted)
  expect(floors.of('events', 0)).toBe(0)
  takeBack()
  expect(floors.of('events', 0)).toBe(5)
  running.expect(wanted)
  await running.apply(wanted, NO_SECRETS)
  expect(floors.of('events', 0)).toBe(5)
  await running.apply(config([['a', 1]]), NO_SECRETS)
  expect(floors.has('b')).toBe(false)
})
