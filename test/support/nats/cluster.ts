/** Three nats-servers as one cluster, and what an operator does to it. */

import { setTimeout as sleep } from 'node:timers/promises'
import type { NatsConnection } from '@nats-io/transport-node'
import { freePort } from '../kafka/ports.ts'
import { NatsServer } from './server.ts'

const READY_MS_MAX = 60_000
const ASK_MS = 2000
const POLL_MS = 20
const ELECTION_MS = 3000

export interface StreamState {
  /** The server that leads it; null while there is none. */
  readonly leader: string | null
  /** Whether each of its replicas has all that the leader has. */
  readonly isWhole: boolean
}

export class NatsCluster {
  /** By name: n1, n2, n3. */
  readonly servers: ReadonlyMap<string, NatsServer>

  private constructor(servers: ReadonlyMap<string, NatsServer>) {
    this.servers = servers
  }

  static async start(): Promise<NatsCluster> {
    const names = ['n1', 'n2', 'n3']
    const ports = await Promise.all(names.map(() => freePort()))
    const routes = ports.map((port) => `nats://127.0.0.1:${port}`).join(', ')
    const servers = new Map<string, NatsServer>()
    for (const [i, name] of names.entries()) {
      const cluster = `cluster { name: test, listen: "127.0.0.1:${ports[i]}", routes: [${routes}] }`
      servers.set(name, await NatsServer.create({ config: `server_name: ${name}\n${cluster}` }))
    }
    const cluster = new NatsCluster(servers)
    try {
      await Promise.all([...servers.values()].map((server) => server.start()))
      await cluster.#until('JetStream has a leader', () => cluster.#withApi((api) => api.isReady()))
    } catch (error) {
      await cluster.stop()
      throw error
    }
    return cluster
  }

  get addresses(): string[] {
    return [...this.servers.values()].map(({ address }) => address)
  }

  get(name: string): NatsServer {
    return this.servers.get(name)!
  }

  /** Names of those that do not lead it. */
  async followers(stream: string): Promise<string[]> {
    const leader = await this.leader(stream)
    return [...this.servers.keys()].filter((name) => name !== leader)
  }

  async leader(stream: string): Promise<string> {
    let leader: string | null = null
    await this.#until(`stream ${stream} has a leader`, async () => {
      leader = await this.#withApi(async (api) => (await api.state(stream)).leader)
      return leader !== null && this.get(leader).isRunning
    })
    return leader!
  }

  /** Another server leads the stream when it resolves. */
  async moveLeader(stream: string): Promise<void> {
    const before = await this.leader(stream)
    let askedAt = Number.NEGATIVE_INFINITY
    await this.#until('another one leads', async () => {
      if ((await this.leader(stream)) !== before) return true
      // It is free to win again, and may have lost the request.
      if (performance.now() - askedAt > ELECTION_MS) {
        askedAt = performance.now()
        await this.#withApi((api) => api.stepDown(stream))
      }
      return false
    })
  }

  /** Waits until all three servers hold all of the stream. */
  async whole(stream: string): Promise<void> {
    await this.#until(`stream ${stream} is whole`, () =>
      this.#withApi(async (api) => (await api.state(stream)).isWhole),
    )
  }

  async delete(stream: string): Promise<void> {
    await this.#until('it is deleted', () => this.#withApi((api) => api.delete(stream)))
  }

  async stop(): Promise<void> {
    await Promise.all([...this.servers.values()].map((server) => server.stop()))
  }

  /** False also where a server that is asked is away or does not know. */
  async #until(what: string, condition: () => Promise<boolean>): Promise<void> {
    const end = Date.now() + READY_MS_MAX
    let last: unknown = null
    for (;;) {
      const isSo = await condition().catch((error) => {
        last = error
        return false
      })
      if (isSo) return
      if (Date.now() > end) throw new Error(`not within ${READY_MS_MAX} ms: ${what}`, { cause: last })
      await sleep(POLL_MS)
    }
  }

  async #withApi<T>(work: (api: Api) => Promise<T>): Promise<T> {
    const { connect } = await import('@nats-io/transport-node')
    const running = [...this.servers.values()].filter(({ isRunning }) => isRunning)
    const servers = running.map(({ address }) => address)
    const connection = await connect({ servers, reconnect: false, timeout: ASK_MS })
    try {
      return await work(new Api(connection))
    } finally {
      await connection.close()
    }
  }
}

interface StreamInfo {
  readonly error?: { readonly description: string }
  readonly cluster?: {
    readonly leader?: string
    readonly replicas?: readonly { readonly current?: boolean; readonly lag?: number }[]
  }
}

/** JetStream's own requests. */
class Api {
  readonly #connection: NatsConnection

  constructor(connection: NatsConnection) {
    this.#connection = connection
  }

  async isReady(): Promise<boolean> {
    return (await this.#ask('INFO')).error === undefined
  }

  async state(stream: string): Promise<StreamState> {
    const { error, cluster } = await this.#ask(`STREAM.INFO.${stream}`)
    if (error !== undefined) throw new Error(error.description)
    const replicas = cluster?.replicas ?? []
    const isWhole = replicas.length === 2 && replicas.every(({ current, lag = 0 }) => current && lag === 0)
    return { leader: cluster?.leader || null, isWhole }
  }

  async stepDown(stream: string): Promise<void> {
    await this.#ask(`STREAM.LEADER.STEPDOWN.${stream}`)
  }

  async delete(stream: string): Promise<boolean> {
    return (await this.#ask(`STREAM.DELETE.${stream}`)).error === undefined
  }

  async #ask(subject: string): Promise<StreamInfo> {
    return (await this.#connection.request(`$JS.API.${subject}`, '', { timeout: ASK_MS })).json()
  }
}
