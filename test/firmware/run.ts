/** Devices, wires, bridge and broker, until enough is acknowledged; then the log is read back and judged. */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { BridgeProcess } from '../support/bridge-process.ts'
import { BrokerProcess, CLI } from '../support/broker-process.ts'
import { whenOrphaned } from '../support/kafka/cleanup.ts'
import { freePort } from '../support/kafka/ports.ts'
import { seededRandom } from '../support/random.ts'
import { Commander } from './commander.ts'
import { bridgeConfiguration, brokerConfiguration, STREAM } from './configurations.ts'
import { DeviceProcess } from './device-process.ts'
import { BOARDS, buildFirmware, buildPtyHolder } from './firmware.ts'
import { judge, type LogRecord } from './judge.ts'
import { judgeCommands } from './judge-commands.ts'
import { COMMANDS } from './payload.ts'
import { type Blow, planBlows, type Victim } from './plan.ts'
import { Wire } from './wire.ts'

const STEP_MS = 20
/** Without one acknowledgement for so long something is stuck. */
const STALL_MS_MAX = 90_000
const READ_BYTES_MAX = 1024 * 1024 * 1024

export interface RunOptions {
  readonly messages: number
  /** To each device; 0: none subscribes. */
  readonly commands: number
  readonly seed: number
  readonly kills: number
}

export interface DeviceResult {
  readonly name: string
  readonly what: string
  readonly boots: number
  readonly acknowledged: number
  readonly records: number
  /** Those that came, and those of them that came again. */
  readonly commands: number
  readonly repeated: number
  readonly clockErrorMs: number | null
  readonly frames: number
  readonly lost: number
  readonly flipped: number
}

export interface RunResult {
  readonly devices: readonly DeviceResult[]
  readonly blows: Readonly<Partial<Record<Victim, number>>>
  readonly seconds: number
  readonly problems: readonly string[]
  /** Where the data and what bridge and broker said were left; null where nothing is wrong. */
  readonly kept: string | null
}

export class FirmwareRun {
  readonly #options: RunOptions
  readonly #onProgress: (acknowledged: number) => void
  readonly #blows: Readonly<Blow>[]
  readonly #struck: Partial<Record<Victim, number>> = {}
  #directory = ''
  #broker!: BrokerProcess
  #bridge!: BridgeProcess
  #devices: DeviceProcess[] = []
  #wires: Wire[] = []
  #commander: Commander | null = null
  /** Commands that came again, by device. */
  readonly #repeated = new Map<string, number>()
  #isAbandoned = false
  #calmDown = () => {}

  constructor(options: RunOptions, onProgress: (acknowledged: number) => void) {
    this.#options = options
    this.#onProgress = onProgress
    const random = seededRandom(options.seed)
    this.#blows = planBlows(random, this.#steps, options.kills, BOARDS.length)
  }

  /** Acknowledged messages and commands that came. */
  get #steps(): number {
    return this.#options.messages + this.#options.commands * BOARDS.length
  }

  get isAbandoned(): boolean {
    return this.#isAbandoned
  }

  /** For a run that is broken off. */
  async abandon(): Promise<void> {
    this.#isAbandoned = true
    await this.#takeDown()
    await rm(this.#directory, { recursive: true, force: true })
  }

  async run(): Promise<RunResult> {
    const started = performance.now()
    const problems: string[] = []
    let records: ReadonlyMap<string, number> = new Map()
    await this.#setUp()
    try {
      await this.#play()
      await Promise.all(this.#devices.map((device) => device.stop()))
      await this.#bridge.end('SIGTERM')
      if (this.#isAbandoned) throw new Error('broken off')
      const verdict = judge(this.#devices, await this.#readLog())
      records = verdict.records
      problems.push(...verdict.problems, ...this.#judgeCommands())
    } catch (error) {
      problems.push((error as Error).message)
    }
    const seconds = (performance.now() - started) / 1000
    const devices = this.#devices.map((device, i): DeviceResult => {
      const { frames, lost, flipped } = this.#wires[i]!
      const acknowledged = device.acknowledged.length
      const { name, boots, board, clockErrorMs, commands } = device
      return {
        commands,
        repeated: this.#repeated.get(name) ?? 0,
        name,
        what: board.what,
        boots,
        acknowledged,
        records: records.get(name) ?? 0,
        clockErrorMs,
        frames,
        lost,
        flipped,
      }
    })
    await this.#takeDown()
    const kept = problems.length > 0 && !this.#isAbandoned ? await this.#keep() : null
    if (kept === null) await rm(this.#directory, { recursive: true, force: true })
    return { devices, blows: this.#struck, seconds, problems, kept }
  }

  async #setUp(): Promise<void> {
    const directory = await mkdtemp(join(tmpdir(), 'headwater-firmware-'))
    this.#directory = directory
    const [brokerPort, statusPort] = [await freePort(), await freePort()]
    await mkdir(join(directory, 'data'))
    const brokerFile = join(directory, 'headwater.yaml')
    await writeFile(brokerFile, brokerConfiguration(brokerPort))
    const ports = BOARDS.map(({ name }) => join(directory, `tty-${name}`))
    const bridgeFile = join(directory, 'headwater-bridge.yaml')
    await writeFile(bridgeFile, bridgeConfiguration({ brokerPort, statusPort, ports }))
    const holder = buildPtyHolder(directory)
    for (const [i, board] of BOARDS.entries()) {
      const firmware = buildFirmware(board, directory, this.#options.commands > 0)
      const random = seededRandom(this.#options.seed + i + 1)
      const wire: Wire = new Wire(random, (bytes) => device.receive(bytes))
      const device = new DeviceProcess(board, firmware, (message) => wire.fromDevice(message))
      this.#wires.push(wire)
      this.#devices.push(device)
      await wire.open(holder, ports[i]!)
    }
    this.#broker = new BrokerProcess(['--config', brokerFile])
    await this.#startBroker()
    this.#bridge = new BridgeProcess(['--config', bridgeFile])
    this.#bridge.launch()
    for (const device of this.#devices) device.start()
    if (this.#options.commands === 0) return
    this.#commander = new Commander(brokerPort, this.#devices, this.#options.commands)
    this.#commander.start()
  }

  async #play(): Promise<void> {
    const blows = [...this.#blows]
    let [before, movedAt] = [0, performance.now()]
    while (!this.#isAbandoned) {
      const acknowledged = this.#devices.reduce((sum, device) => sum + device.acknowledged.length, 0)
      const commands = this.#devices.reduce((sum, device) => sum + device.commands, 0)
      const steps = Math.min(acknowledged, this.#options.messages) + commands
      if (acknowledged + commands > before) movedAt = performance.now()
      before = acknowledged + commands
      this.#onProgress(steps)
      const [next] = blows
      if (next !== undefined && steps >= next.at) {
        blows.shift()
        await this.#strike(next)
        continue
      }
      if (acknowledged >= this.#options.messages && (this.#commander?.isDone ?? true)) return
      if (this.#bridge.isGone)
        throw new Error(`the bridge ended by itself: ${this.#bridge.output.slice(-500)}`)
      if (performance.now() - movedAt > STALL_MS_MAX)
        throw new Error(
          `nothing moved for ${STALL_MS_MAX} ms after ${acknowledged} messages and ${commands} commands`,
        )
      await delay(STEP_MS)
    }
  }

  async #strike({ victim, device, downMs }: Blow): Promise<void> {
    this.#struck[victim] = (this.#struck[victim] ?? 0) + 1
    if (victim === 'device') {
      await this.#devices[device]!.stop()
      this.#wires[device]!.clearDown()
      await delay(downMs / 10)
      if (!this.#isAbandoned) this.#devices[device]!.start()
      return
    }
    const [hasBridge, hasBroker] = [victim.includes('bridge'), victim.includes('broker')]
    await Promise.all([hasBridge ? this.#bridge.end('SIGKILL') : null, hasBroker ? this.#endBroker() : null])
    await delay(downMs)
    if (this.#isAbandoned) return
    if (hasBridge) this.#bridge.launch()
    if (hasBroker) await this.#startBroker()
  }

  #judgeCommands(): string[] {
    const commander = this.#commander
    if (commander === null) return []
    const { bridge = 0, broker = 0, 'bridge and broker': both = 0 } = this.#struck
    const kills = { bridge: bridge + both, broker: broker + both }
    return this.#devices.flatMap(({ name, received }) => {
      const verdict = judgeCommands({ name, received, sent: commander.sent(name) }, kills)
      this.#repeated.set(name, verdict.repeated)
      return verdict.problems
    })
  }

  async #startBroker(): Promise<void> {
    await this.#broker.start()
    this.#calmDown = whenOrphaned('kill -9 "$1"', [`${this.#broker.pid}`])
  }

  async #endBroker(): Promise<void> {
    this.#calmDown()
    await this.#broker?.end('SIGKILL')
  }

  async #readLog(): Promise<LogRecord[]> {
    const args = [CLI, 'read', STREAM, '--config', join(this.#directory, 'headwater.yaml')]
    const { stdout } = await promisify(execFile)(process.execPath, args, { maxBuffer: READ_BYTES_MAX })
    const records = stdout.split('\n').filter(Boolean).map(recordOf)
    return records.filter(({ topic }) => !topic.startsWith(COMMANDS))
  }

  async #takeDown(): Promise<void> {
    await this.#commander?.end()
    await Promise.all(this.#devices.map((device) => device.stop()))
    await this.#bridge?.end('SIGKILL')
    await this.#endBroker()
    await Promise.all(this.#wires.map((wire) => wire.close()))
  }

  async #keep(): Promise<string> {
    const files = {
      'broker.log': this.#broker.output,
      'bridge.log': this.#bridge.output,
      'devices.json': JSON.stringify(
        this.#devices.map(({ name, boots, acknowledged, refused, received, said }) => ({
          ...{ name, boots, acknowledged, refused, received, said },
        })),
      ),
    }
    for (const [name, text] of Object.entries(files)) await writeFile(join(this.#directory, name), text)
    return this.#directory
  }
}

type Bytes = string | { readonly base64: string }

function recordOf(line: string): LogRecord {
  const { topic, value, gap } = JSON.parse(line) as { topic: string; value: Bytes; gap?: unknown }
  if (gap !== undefined) throw new Error(`the log has a gap: ${line}`)
  const bytes = typeof value === 'string' ? Buffer.from(value, 'utf8') : Buffer.from(value.base64, 'base64')
  return { topic, value: bytes }
}
