import { randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onExit, whenOrphaned } from './cleanup.ts'
import { type Installation, installation } from './installation.ts'
import { Jvm, PID_FILE } from './jvm.ts'
import { freePort } from './ports.ts'
import {
  type ExtraListener,
  formatProperties,
  LOG4J_PROPERTIES,
  metaProperties,
  type NodePlan,
  nodeProperties,
} from './properties.ts'

export interface KafkaOptions {
  /** Added to, or instead of, what properties.ts sets. */
  properties?: Record<string, string>
  /** Port of the plain listener of the first node; a free one by default. */
  port?: number
  /** Listeners beside the plain one. */
  listeners?: readonly ExtraListener[]
}

/** One broker of our own: a real Apache Kafka in a process of its own, with data in a temporary directory. */
export interface KafkaServer {
  /** host:port of the plain listener. */
  readonly bootstrap: string
  /** host:port of each extra listener, by its name. */
  readonly listeners: Readonly<Record<string, string>>
  /** Of the present process, or of the last one. */
  readonly pid: number
  /** SIGKILL, and waits until the process is gone. The data stays. */
  kill(): Promise<void>
  /** Starts it again after `kill`: same ports, same data. */
  start(): Promise<void>
  /** SIGTERM, SIGKILL if it does not go, and removes the data. */
  stop(): Promise<void>
}

export interface KafkaCluster {
  /** host:port of every node, comma separated. */
  readonly bootstrap: string
  readonly nodes: readonly KafkaServer[]
  stop(): Promise<void>
}

/** Starts a broker of the caller's own; ready when it resolves (about a second). Throws NoInstallationError. */
export async function startKafka(options: KafkaOptions = {}): Promise<KafkaServer> {
  const cluster = await startKafkaCluster(1, options)
  return cluster.nodes[0] as KafkaServer
}

/** Starts `nodeCount` nodes, each broker and controller, with as many replicas (three at most) by default. */
export async function startKafkaCluster(
  nodeCount: number,
  options: KafkaOptions = {},
): Promise<KafkaCluster> {
  const from = await installation()
  const clusterId = uuid()
  const plans = await planNodes(nodeCount, options)
  const nodes = await Promise.all(plans.map((plan) => createNode(from, clusterId, plan)))
  const stop = async () => {
    await Promise.all(nodes.map((node) => node.stop()))
  }
  try {
    // Together: a node is ready only when a majority of the controllers is there.
    await Promise.all(nodes.map((node) => node.start()))
  } catch (error) {
    await stop()
    throw error
  }
  return { bootstrap: nodes.map((node) => node.bootstrap).join(','), nodes, stop }
}

type NodePlanWithoutData = Omit<NodePlan, 'dataDirectory'>

async function planNodes(nodeCount: number, options: KafkaOptions): Promise<NodePlanWithoutData[]> {
  const voters: { nodeId: number; controllerPort: number }[] = []
  for (let nodeId = 1; nodeId <= nodeCount; nodeId++)
    voters.push({ nodeId, controllerPort: await freePort() })
  const plans: NodePlanWithoutData[] = []
  for (const { nodeId, controllerPort } of voters) {
    const port = nodeId === 1 && options.port !== undefined ? options.port : await freePort()
    const extraListeners: NodePlan['extraListeners'][number][] = []
    for (const listener of options.listeners ?? [])
      extraListeners.push({ ...listener, port: await freePort() })
    plans.push({ nodeId, port, controllerPort, voters, extraListeners, properties: options.properties ?? {} })
  }
  return plans
}

/** Writes a formatted node into a temporary directory; nothing runs yet. */
async function createNode(
  from: Installation,
  clusterId: string,
  plan: NodePlanWithoutData,
): Promise<KafkaServer> {
  const home = await mkdtemp(join(tmpdir(), 'headwater-kafka-'))
  const dataDirectory = join(home, 'data')
  await mkdir(dataDirectory)
  await copyFile(from.bootstrapCheckpoint, join(dataDirectory, 'bootstrap.checkpoint'))
  await writeFile(join(dataDirectory, 'meta.properties'), metaProperties(clusterId, plan.nodeId, uuid()))
  await writeFile(
    join(home, 'server.properties'),
    formatProperties(nodeProperties({ ...plan, dataDirectory })),
  )
  await writeFile(join(home, 'log4j2.properties'), LOG4J_PROPERTIES)
  const listeners = plan.extraListeners.map(({ name, port }) => [name, `127.0.0.1:${port}`])
  return new JvmNode(from, home, `127.0.0.1:${plan.port}`, Object.fromEntries(listeners))
}

class JvmNode implements KafkaServer {
  readonly bootstrap: string
  readonly listeners: Readonly<Record<string, string>>
  readonly #from: Installation
  readonly #home: string
  readonly #releaseCleanup: () => void
  #jvm: Jvm | undefined
  #running = false

  constructor(from: Installation, home: string, bootstrap: string, listeners: Record<string, string>) {
    this.#from = from
    this.#home = home
    this.bootstrap = bootstrap
    this.listeners = listeners
    this.#releaseCleanup = cleanUpAtExit(home, () => this.#jvm?.killNow())
  }

  get pid(): number {
    if (this.#jvm === undefined) throw new Error('this broker was never started')
    return this.#jvm.pid
  }

  async start(): Promise<void> {
    if (this.#running) throw new Error(`Kafka on ${this.bootstrap} runs already`)
    this.#running = true
    try {
      this.#jvm = new Jvm(this.#from, this.#home)
      await this.#jvm.started()
    } catch (error) {
      this.#running = false
      throw error
    }
  }

  async kill(): Promise<void> {
    await this.#jvm?.kill()
    this.#running = false
  }

  async stop(): Promise<void> {
    await this.#jvm?.terminate()
    this.#running = false
    await rm(this.#home, { recursive: true, force: true, maxRetries: 3 })
    this.#releaseCleanup()
  }
}

function cleanUpAtExit(home: string, killNow: () => void): () => void {
  const releaseExit = onExit(() => {
    killNow()
    rmSync(home, { recursive: true, force: true, maxRetries: 3 })
  })
  const script = `test -f "$1/${PID_FILE}" && kill -9 "$(cat "$1/${PID_FILE}")"; sleep 0.3; rm -rf "$1"`
  const releaseReaper = whenOrphaned(script, [home])
  return () => {
    releaseExit()
    releaseReaper()
  }
}

/** A Kafka UUID: 16 bytes in base64url. One that begins with a dash would be taken for an option by Kafka's tools. */
function uuid(): string {
  const text = randomBytes(16).toString('base64url')
  return text.startsWith('-') ? uuid() : text
}
