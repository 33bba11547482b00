/** A device that runs: QEMU, or this machine. Its memory is gone with each reset; the number of the boot is all that it starts with. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { rmSync } from 'node:fs'
import { Deframer } from '../firmware-bridge/device/frames.ts'
import { onExit, whenOrphaned } from '../support/kafka/cleanup.ts'
import { type Board, forBoot } from './firmware.ts'
import type { DeviceBook } from './judge.ts'
import type { Received } from './judge-commands.ts'

const REPORT_TYPE = 0xfd
const REPORT_BYTES = 11
const SAID_CHARS_MAX = 4000

export class DeviceProcess implements DeviceBook {
  readonly board: Board
  boots = 0
  readonly acknowledged: string[] = []
  readonly refused: string[] = []
  /** Commands in the order in which they came, and each time that it subscribed. */
  readonly received: Received[] = []
  commands = 0
  /** Of the time that it got from the bridge, when it told it, to a second or so; null: it never got it. */
  clockErrorMs: number | null = null
  /** What QEMU complained of. */
  said = ''
  readonly #firmware: string
  readonly #onMessage: (message: Buffer) => void
  #child: ChildProcessWithoutNullStreams | null = null
  /** All that the present boot wrote has been read, and it is gone. */
  #closed: Promise<void> = Promise.resolve()

  /** @param onMessage what goes on the wire, without the reports */
  constructor(board: Board, firmware: string, onMessage: (message: Buffer) => void) {
    this.board = board
    this.#firmware = firmware
    this.#onMessage = onMessage
  }

  get name(): string {
    return this.board.name
  }

  start(): void {
    const file = forBoot(this.#firmware, ++this.boots)
    const [program, ...args] = this.board.command(file)
    const child = spawn(program, args, { stdio: 'pipe' })
    this.#child = child
    const takeBack = onExit(() => child.kill('SIGKILL'))
    // QEMU does not end with its standard input
    const calmDown = whenOrphaned('kill -9 "$1"', [`${child.pid}`])
    const deframer = new Deframer()
    child.stdout.on('data', (chunk: Buffer) => {
      for (const message of deframer.push(chunk)) this.#take(message)
    })
    child.stderr.on('data', (chunk) => {
      this.said = (this.said + chunk).slice(-SAID_CHARS_MAX)
    })
    child.stdin.on('error', () => {})
    child.on('error', (error) => {
      this.said += error.message
    })
    this.#closed = new Promise((resolve) => {
      child.once('close', () => {
        takeBack()
        calmDown()
        rmSync(file, { force: true })
        resolve()
      })
    })
  }

  /** Bytes of the wire; none arrive where it is off. */
  receive(bytes: Buffer): void {
    if (this.#child?.exitCode === null && this.#child.signalCode === null) this.#child.stdin.write(bytes)
  }

  /** Resolves when all that it reported has been heard. */
  async stop(): Promise<void> {
    this.#child?.kill('SIGKILL')
    this.#child = null
    await this.#closed
  }

  #take(message: Buffer): void {
    if (message[1] !== REPORT_TYPE) {
      this.#onMessage(message)
      return
    }
    if (message.length !== REPORT_BYTES) throw new Error(`${this.name} reported ${message.toString('hex')}`)
    const [kind, value] = [String.fromCharCode(message[2]!), message.readUInt32BE(7)]
    if (kind === 'T') {
      this.clockErrorMs = Math.max(this.clockErrorMs ?? 0, Math.abs(Date.now() - value * 1024))
      return
    }
    const boot = message.readUInt32BE(3)
    if (kind === 'S') this.received.push({ kind: 'subscribed', boot })
    else if (kind === 'X') this.received.push({ kind: 'bad', boot, what: value })
    else if (kind === 'C') {
      this.received.push({ kind: 'command', boot, number: value })
      this.commands = Math.max(this.commands, value)
    }
    if (kind !== 'A' && kind !== 'R') return
    const list = kind === 'A' ? this.acknowledged : this.refused
    list.push(`${boot}/${value}`)
  }
}
