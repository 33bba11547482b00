/** Clients, the clock, memory, the configuration. */
import { connect, type Socket } from 'node:net'
import { runUsersAdd } from '../../../../../broker/operations/commands/users.ts'
import { heldBytes } from '../../../../../broker/operations/metrics/process-facts.ts'
import { Machine, T0 } from '../../../clock/machine.ts'
import { Edge } from './edge.ts'
import type { Provocation } from './provocation.ts'

const MB = 1_048_576
let sockets: Socket[] = []
let machine: Machine

export const CLIENT_PROVOCATIONS = {
  'clock-untrusted': {
    severity: 'warning',
    subject: 'clock',
    summary: /the clock is not to be trusted: timedatectl does not call it synchronized/,
    async provoke() {
      machine = new Machine(T0).withSystemd()
      const edge = await Edge.start({ clock: machine.parts(), config: { clock: { trust: 'auto' } } })
      await machine.pass(60_000)
      return edge
    },
    // a time service is within reach
    async mend() {
      machine.synchronize(T0 + 61_000)
      await machine.pass(20_000)
    },
  },

  'memory-high': {
    severity: 'warning',
    subject: 'broker',
    summary: /the broker has .* of the .* that it may have/,
    provoke: () => Edge.start({ memoryBytesMax: () => heldBytes() / 0.95 }),
    // MemoryMax of the service is raised, which counts from its next start
    mend: (edge) => edge.restart({ memoryBytesMax: () => heldBytes() * 2 }),
  },

  'connection-limit': {
    severity: 'warning',
    subject: 'broker',
    summary: /2 of 2 connections are taken \(nobody has logged in on 2\): more are refused/,
    async provoke() {
      const edge = await Edge.start({ config: { limits: { connectionsMax: 2, connectSecondsMax: 300 } } })
      // they say nothing, and hold their places
      sockets = [connect(edge.port, '127.0.0.1'), connect(edge.port, '127.0.0.1')]
      await edge.until('both hold a place', async () => {
        const late = await edge.connect({ reconnectPeriod: 0, connectTimeout: 1000 }).catch(() => null)
        await late?.endAsync(true)
        return late === null
      })
      return edge
    },
    // the limit is raised
    async mend(edge) {
      await edge.reload({ limits: { connectionsMax: 10, connectSecondsMax: 300 } })
      for (const socket of sockets) socket.destroy()
    },
  },

  'logins-refused': {
    severity: 'warning',
    subject: 'broker',
    summary: /20 logins were refused in the last ten minutes/,
    async provoke() {
      const edge = await Edge.start()
      const password = { password: 'right-password' }
      await edge.headwater((context, options) =>
        runUsersAdd({ ...context, readInput: async () => Buffer.from(password.password) }, 'plc-1', options),
      )
      await edge.until('the door is closed', async () => (await edge.report()).broker!.mqtt.isGuarded)
      edge.pass(15)
      const wrong = { username: 'plc-1', password: 'old-password', reconnectPeriod: 0 }
      for (let i = 0; i < 20; i++) await edge.connect(wrong).catch(() => {})
      return edge
    },
    // the device has its password
    async mend(edge) {
      await edge.connect({ username: 'plc-1', password: 'right-password' })
    },
  },

  'messages-dropped': {
    severity: 'warning',
    subject: 'broker',
    summary: /2 messages could not be kept for subscribers/,
    async provoke() {
      const edge = await Edge.start({ config: { limits: { queuedMessagesMax: 1 } } })
      edge.pass(15)
      const slow = await edge.connect({ clientId: 'hmi', clean: false })
      await slow.subscribeAsync('a/#', { qos: 1 })
      await slow.endAsync()
      await edge.publish('a/b', ['1', '2', '3'])
      return edge
    },
    // the subscriber is there
    async mend(edge) {
      await edge.connect({ clientId: 'hmi', clean: false })
    },
  },

  'dead-letters': {
    severity: 'warning',
    subject: 'dead-letters',
    summary: /1 message went to the stream dead-letters/,
    async provoke() {
      const streams = [{ name: 'events', topics: ['#'], key: { pointer: '/device' } }]
      const edge = await Edge.start({ config: { streams } })
      edge.pass(15)
      await edge.publish('a/b', ['no JSON'])
      return edge
    },
    async mend(edge) {
      await edge.publish('a/b', ['{"device":"pump"}'])
    },
  },

  'restart-needed': {
    severity: 'info',
    subject: 'broker',
    summary: /what counts from the next start on: log\.segmentBytes\b/,
    async provoke() {
      const edge = await Edge.start()
      await edge.reload({ log: { segmentBytes: 2 * MB, disk: { reserveBytes: MB } } })
      return edge
    },
    mend: (edge) => edge.restart(),
  },
} as const satisfies Record<string, Provocation>
