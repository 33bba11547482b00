/** A Prometheus of its own for a test: the Debian package's server, on loopback, with a scratch directory. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { onExit } from './kafka/cleanup.ts'
import { freePort } from './kafka/ports.ts'

export const hasPrometheus = spawnSync('prometheus', ['--version']).status === 0

const START_MS_MAX = 60_000

export interface Series {
  readonly metric: Readonly<Record<string, string>>
  readonly value: number
}

export interface RuleReport {
  readonly name: string
  readonly health: string
  readonly lastError?: string
}

interface Answer {
  readonly status: string
  readonly error?: string
  readonly data: { readonly result: readonly { metric: Record<string, string>; value: [number, string] }[] }
}

export class PrometheusServer {
  readonly #child: ChildProcess
  readonly #url: string
  #output = ''

  private constructor(child: ChildProcess, port: number) {
    this.#child = child
    this.#url = `http://127.0.0.1:${port}`
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.on('data', (chunk: Buffer) => {
        this.#output += chunk.toString()
      })
    }
  }

  /** @param directory of its own: its series are written there @param config the file that it reads */
  static async start(directory: string, config: string): Promise<PrometheusServer> {
    const port = await freePort()
    const args = [
      `--config.file=${config}`,
      `--storage.tsdb.path=${join(directory, 'series')}`,
      `--web.listen-address=127.0.0.1:${port}`,
      '--log.level=warn',
    ]
    const child = spawn('prometheus', args, { stdio: ['ignore', 'pipe', 'pipe'] })
    const takeBack = onExit(() => child.kill('SIGKILL'))
    child.once('exit', takeBack)
    const server = new PrometheusServer(child, port)
    await server.#ready()
    return server
  }

  /** @throws with its own words where it has a complaint */
  async query(expression: string): Promise<Series[]> {
    const response = await fetch(`${this.#url}/api/v1/query`, {
      method: 'POST',
      body: new URLSearchParams({ query: expression }),
    })
    const { status, error, data } = (await response.json()) as Answer
    if (status !== 'success') throw new Error(`${expression}: ${error}`)
    return data.result.map(({ metric, value: [, value] }) => ({ metric, value: Number(value) }))
  }

  async rules(): Promise<RuleReport[]> {
    const response = await fetch(`${this.#url}/api/v1/rules`)
    const { data } = (await response.json()) as { data: { groups: { rules: RuleReport[] }[] } }
    return data.groups.flatMap(({ rules }) => rules)
  }

  /** Asks until the answer is as it should be. */
  async until(
    expression: string,
    isSo: (found: readonly Series[]) => boolean,
    msMax = 90_000,
  ): Promise<void> {
    const deadline = Date.now() + msMax
    for (;;) {
      const found = await this.query(expression)
      if (isSo(found)) return
      if (Date.now() > deadline)
        throw new Error(`${expression} stayed ${JSON.stringify(found)}\n${this.#output}`)
      await delay(200)
    }
  }

  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const gone = once(this.#child, 'exit')
    this.#child.kill('SIGTERM')
    await gone
  }

  async #ready(): Promise<void> {
    const deadline = Date.now() + START_MS_MAX
    while (Date.now() < deadline && this.#child.exitCode === null) {
      const response = await fetch(`${this.#url}/-/ready`).catch(() => null)
      if (response?.ok) return
      await delay(100)
    }
    throw new Error(`prometheus did not start\n${this.#output}`)
  }
}
