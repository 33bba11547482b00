/** Upstreams and downlinks: what stops them, holds them back, is refused by them. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inject } from 'vitest'
import type { DownlinkStatus } from '../../../../../broker/operations/operations.ts'
import { createTopic, uniqueName } from '../../../../support/kafka/index.ts'
import { CommandTopic } from '../../../../sync/downlink/kafka-topic.ts'
import { Edge, scratch } from './edge.ts'
import type { Provocation } from './provocation.ts'

const quick = { firstMs: 20, msMax: 100 }
const archive = { name: 'usb', kind: 'archive', directory: './usb', backoff: quick }
const kafkaBootstrap = () => inject('kafka').bootstrap.split(',')

/** A file lies where the archive's directory should be: as a disk that is not there, it takes nothing. */
async function withoutDisk(): Promise<Edge> {
  const directory = scratch()
  writeFileSync(join(directory, 'usb'), '')
  return Edge.start({ directory, config: { upstreams: [archive] } })
}

async function caughtUp(edge: Edge): Promise<void> {
  await edge.until('all is upstream', async () => (await edge.upstream()).lagRecords === 0)
}

let commands: CommandTopic
let topic = ''
const downlink = (outOfRange: string) => ({
  name: 'commands',
  connection: { bootstrap: kafkaBootstrap() },
  topic,
  start: 'earliest',
  outOfRange,
  graceSeconds: 0,
  backoff: quick,
})

async function downlinkOf(edge: Edge): Promise<DownlinkStatus> {
  const { downlinks } = JSON.parse(await edge.get('/api/v1/upstreams')) as { downlinks: DownlinkStatus[] }
  return downlinks[0]!
}

/** Sends what it was to be read and lets it go before it is read. */
async function loseCommands(edge: Edge): Promise<void> {
  await commands.send([{ key: 'a', value: 'first' }])
  const delivered = async () => /"delivered":1/.test(await edge.get('/api/v1/upstreams'))
  await edge.until('the first command is delivered', delivered)
  await edge.sync('pause', 'commands')
  await edge.until('it is paused', async () => /"state":"paused"/.test(await edge.get('/api/v1/upstreams')))
  await commands.send([
    { key: 'a', value: 'lost' },
    { key: 'a', value: 'kept' },
  ])
  await commands.removeBelow(0, 2)
  await edge.sync('resume', 'commands')
}

export const SYNC_PROVOCATIONS = {
  'upstream-stopped': {
    severity: 'critical',
    subject: 'usb',
    summary: /usb has stopped and waits for a person: .* belongs to edge edge-2/,
    async provoke() {
      const directory = scratch()
      const other = await Edge.start({
        config: { edge: 'edge-2', upstreams: [{ ...archive, directory: join(directory, 'usb') }] },
      })
      await other.publish('a/b', ['x'])
      await caughtUp(other)
      await other.stop()
      const edge = await Edge.start({ directory, config: { upstreams: [archive] } })
      await edge.publish('a/b', ['x'])
      await edge.until('it has stopped', async () => (await edge.upstream()).state === 'stopped')
      return edge
    },
    // as its hint says, in place: then it goes on by hand
    async mend(edge) {
      rmSync(join(edge.directory, 'usb'), { recursive: true })
      mkdirSync(join(edge.directory, 'usb'))
      await edge.sync('resume', 'usb')
      await caughtUp(edge)
    },
  },

  'upstream-stalled': {
    severity: 'warning',
    subject: 'usb',
    summary: /usb acknowledges nothing, and 1 records? waits?: .*not a directory/,
    async provoke() {
      const edge = await withoutDisk()
      await edge.publish('a/b', ['x'])
      await edge.until('it is tried again', async () => (await edge.upstream()).tries > 1)
      return edge
    },
    // the disk is put in; the broker tries by itself
    async mend(edge) {
      rmSync(join(edge.directory, 'usb'))
      await caughtUp(edge)
    },
  },

  'upstream-lagging': {
    severity: 'warning',
    subject: 'usb',
    summary: /1 records? waits? for usb, the oldest for 1 h/,
    async provoke() {
      const hour = (new Date().getHours() + 12) % 24
      const schedule = { windows: [{ cron: `* ${hour} * * *` }] }
      const edge = await Edge.start({ config: { upstreams: [{ ...archive, schedule }] } })
      await edge.publish('a/b', ['x'])
      await edge.until('it is held', async () => (await edge.upstream()).state === 'held')
      return edge
    },
    // `sync status` names the schedule
    async mend(edge) {
      await edge.sync('now', 'usb')
      await caughtUp(edge)
    },
  },

  'upstream-paused': {
    severity: 'info',
    subject: 'usb',
    summary: /usb is paused, and 1 records? waits?/,
    async provoke() {
      const edge = await Edge.start({ config: { upstreams: [archive] } })
      await edge.sync('pause', 'usb')
      await edge.publish('a/b', ['x'])
      return edge
    },
    async mend(edge) {
      await edge.sync('resume', 'usb')
      await caughtUp(edge)
    },
  },

  'stream-refused': {
    severity: 'warning',
    subject: 'central/alarms',
    summary: /central refuses alarms while it takes others: .*does not exist/,
    takesKafka: true,
    async provoke() {
      topic = uniqueName('refused')
      await createTopic(kafkaBootstrap().join(','), `${topic}-events`, 1)
      const central = {
        name: 'central',
        kind: 'kafka',
        bootstrap: kafkaBootstrap(),
        createTopics: false,
        topic: `${topic}-{stream}`,
        backoff: quick,
      }
      const streams = [
        { name: 'alarms', topics: ['+/alarm'], partitions: 1 },
        { name: 'events', topics: ['#'], partitions: 1 },
      ]
      const edge = await Edge.start({ config: { edge: topic, streams, upstreams: [central] } })
      await edge.publish('a/alarm', ['x'])
      await edge.publish('a/b', ['x'])
      await edge.until('it is refused', async () => (await edge.upstream()).refused.length === 1)
      return edge
    },
    // the topic is made
    async mend(edge) {
      await createTopic(kafkaBootstrap().join(','), `${topic}-alarms`, 1)
      await edge.sync('now', 'central')
      await edge.until('it is taken', async () => (await edge.upstream()).refused.length === 0)
      await caughtUp(edge)
    },
  },

  'downlink-stopped': {
    severity: 'critical',
    subject: 'commands',
    summary: /commands has stopped and waits for a person: .* was to be read next/,
    takesKafka: true,
    async provoke() {
      topic = uniqueName('commands')
      await createTopic(kafkaBootstrap().join(','), topic, 1)
      commands = await CommandTopic.open(kafkaBootstrap().join(','), topic)
      const edge = await Edge.start({ config: { downlinks: [downlink('stop')] } })
      await loseCommands(edge)
      const isStopped = async () => /"state":"stopped"/.test(await edge.get('/api/v1/upstreams'))
      await edge.until('it has stopped', isStopped)
      return edge
    },
    // its hint: set outOfRange
    async mend(edge) {
      await edge.reload({ downlinks: [downlink('earliest')] })
      await edge.sync('resume', 'commands')
      const goesOn = async () => /"state":"idle"/.test(await edge.get('/api/v1/upstreams'))
      await edge.until('it goes on', goesOn)
      await commands.close()
    },
  },

  'downlink-stalled': {
    severity: 'warning',
    subject: 'commands',
    summary: /commands brings nothing down: .*127\.0\.0\.1:9/,
    takesKafka: true,
    async provoke() {
      topic = uniqueName('commands')
      await createTopic(kafkaBootstrap().join(','), topic, 1)
      commands = await CommandTopic.open(kafkaBootstrap().join(','), topic)
      const edge = await Edge.start({ config: { downlinks: [downlink('stop')] } })
      await commands.send([{ key: 'a', value: 'first' }])
      const delivered = async () => (await downlinkOf(edge)).delivered === 1
      await edge.until('the first command is delivered', delivered)
      // the cluster is away: nobody listens at its address
      await edge.reload({ downlinks: [{ ...downlink('stop'), connection: { bootstrap: ['127.0.0.1:9'] } }] })
      await edge.until('it is tried again', async () => (await downlinkOf(edge)).tries > 1)
      return edge
    },
    // it is there again
    async mend(edge) {
      await edge.reload({ downlinks: [downlink('stop')] })
      await commands.send([{ key: 'a', value: 'second' }])
      await edge.until('it is delivered', async () => (await downlinkOf(edge)).delivered === 1)
      await commands.close()
    },
  },

  'downlink-paused': {
    severity: 'info',
    subject: 'commands',
    summary: /commands is paused/,
    async provoke() {
      const away = { bootstrap: ['127.0.0.1:9'] }
      const commands = { name: 'commands', connection: away, topic: 'commands', backoff: quick }
      const edge = await Edge.start({ config: { downlinks: [commands] } })
      await edge.sync('pause', 'commands')
      await edge.until('it is paused', async () => (await downlinkOf(edge)).state === 'paused')
      return edge
    },
    async mend(edge) {
      await edge.sync('resume', 'commands')
      await edge.until('it goes on', async () => (await downlinkOf(edge)).state !== 'paused')
    },
  },
} as const satisfies Record<string, Provocation>
