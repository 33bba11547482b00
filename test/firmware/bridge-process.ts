/** A bridge as an operator runs it, killed and started at will. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { ROOT } from '../firmware-bridge/device/compilers.ts'
import { onExit, whenOrphaned } from '../support/kafka/cleanup.ts'

export const BRIDGE = `${ROOT}dist/bridge.js`
const OUTPUT_CHARS_MAX = 200_000

export interface BridgeSetup {
  readonly brokerPort: number
  readonly statusPort: number
  readonly ports: readonly string[]
}

export function bridgeConfiguration({ brokerPort, statusPort, ports }: BridgeSetup): string {
  const links = ports.map(
    (port) => `  - { kind: serial, port: ${port}, baudRate: 115200, protocol: mqtt-sn, retryMs: 250 }\n`,
  )
  return `
data: ./bridge-data
broker: { url: "mqtt://127.0.0.1:${brokerPort}" }
status: { address: "127.0.0.1:${statusPort}", topicPrefix: "" }
links:
${links.join('')}`
}

export class BridgeProcess {
  readonly #config: string
  #child: ChildProcess | null = null
  /** What all its lives wrote, the oldest cut off. */
  output = ''

  constructor(config: string) {
    this.#config = config
  }

  /** A bridge that ended by itself. */
  get isGone(): boolean {
    return this.#child !== null && (this.#child.exitCode !== null || this.#child.signalCode !== null)
  }

  /** Does not wait until it runs: devices do that. */
  start(): void {
    const child = spawn(process.execPath, [BRIDGE, 'start', '--config', this.#config], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#child = child
    const takeBack = onExit(() => child.kill('SIGKILL'))
    const calmDown = whenOrphaned('kill -9 "$1"', [`${child.pid}`])
    child.once('exit', () => {
      takeBack()
      calmDown()
    })
    const keep = (chunk: Buffer): void => {
      this.output = (this.output + chunk.toString()).slice(-OUTPUT_CHARS_MAX)
    }
    child.stdout!.on('data', keep)
    child.stderr!.on('data', keep)
  }

  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const child = this.#child
    this.#child = null
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill(signal)
    await gone
  }
}
