import { randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onExit, whenOrphaned } from './cleanup.ts'
import type { Installation } from './installation.ts'
import { Jvm, PID_FILE } from './jvm.ts'
import type { NodePlanWithoutData } from './plan.ts'
import { formatProperties, LOG4J_PROPERTIES, metaProperties, nodeProperties } from './properties.ts'

/** One broker of our own: a real Apache Kafka in a process of its own, with data in a temporary directory. */
export interface KafkaServer {
  /** host:port of the plain listener. */
  readonly bootstrap: string
  /** host:port of each extra listener, by its name. */
  readonly listeners: Readonly<Record<string, string>>
  /** Of the present process, or of the last one. */
  readonly pid: number
  /** Its temporary directory: `kafka.log`, `server.properties`, `data/`. */
  readonly directory: string
  /** SIGKILL, and waits until the process is gone. The data stays. */
  kill(): Promise<void>
  /** Starts it again after `kill`: same ports, same data. */
  start(): Promise<void>
  /** SIGTERM, SIGKILL if it does not go, and removes the data. */
  stop(): Promise<void>
}

/** Writes a formatted node into a temporary directory; nothing runs yet. `jvmFlags` replace the shared classes. */
export async function createNode(
  from: Installation,
  clusterId: string,
  plan: NodePlanWithoutData,
  jvmFlags?: readonly string[],
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
  return new JvmNode(from, home, plan, Object.fromEntries(listeners), jvmFlags, plan.jvmFlags)
}

class JvmNode implements KafkaServer {
  readonly bootstrap: string
  readonly listeners: Readonly<Record<string, string>>
  readonly #from: Installation
  readonly directory: string
  readonly #releaseCleanup: () => void
  readonly #heapMb: number
  readonly #jvmFlags: readonly string[] | undefined
  readonly #moreFlags: readonly string[]
  #jvm: Jvm | undefined

  constructor(
    from: Installation,
    home: string,
    { port, heapMb }: NodePlanWithoutData,
    listeners: Record<string, string>,
    jvmFlags: readonly string[] | undefined,
    moreFlags: readonly string[] = [],
  ) {
    this.#moreFlags = moreFlags
    this.#from = from
    this.directory = home
    this.#jvmFlags = jvmFlags
    this.#heapMb = heapMb
    this.bootstrap = `127.0.0.1:${port}`
    this.listeners = listeners
    this.#releaseCleanup = cleanUpAtExit(home, () => this.#jvm?.killNow())
  }

  get pid(): number {
    if (this.#jvm === undefined) throw new Error('this broker was never started')
    return this.#jvm.pid
  }

  async start(): Promise<void> {
    if (this.#jvm?.isRunning) throw new Error(`Kafka on ${this.bootstrap} runs already`)
    this.#jvm = new Jvm(this.#from, this.directory, this.#heapMb, this.#jvmFlags, this.#moreFlags)
    await this.#jvm.started()
  }

  async kill(): Promise<void> {
    await this.#jvm?.kill()
  }

  async stop(): Promise<void> {
    await this.#jvm?.terminate()
    await rm(this.directory, { recursive: true, force: true, maxRetries: 3 })
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
export function uuid(): string {
  const text = randomBytes(16).toString('base64url')
  return text.startsWith('-') ? uuid() : text
}
