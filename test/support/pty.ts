/**
 * Real serial ports without hardware: pseudo terminals, held by socat, or by python3 where that is not installed. The test is the
 * device at the other end, by the standard streams of the process that holds it; its end is the port's: that is how one is unplugged.
 */
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, rmSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'

const IN_PYTHON = `
import os, select, sys, tty
master, slave = os.openpty()
tty.setraw(slave)
os.symlink(os.ttyname(slave), sys.argv[1])
while True:
    for ready in select.select([master, 0], [], [])[0]:
        data = os.read(ready, 4096)
        if not data:
            sys.exit(0)
        while data:
            data = data[os.write(1 if ready == master else master, data):]
`
const STEP_MS = 10
const START_MS_MAX = 10_000

const has = (command: string, argument: string) => spawnSync(command, [argument]).error === undefined
const holder = has('socat', '-V') ? 'socat' : has('python3', '-V') ? 'python3' : null

/** Why there are none here; null where there are. */
export const noPtys = holder === null ? 'neither socat nor python3 is installed' : null
if (noPtys !== null) {
  if (process.env.CI === 'true') throw new Error(`tests on serial ports cannot run here: ${noPtys}`)
  process.stderr.write(`!!! tests on serial ports are SKIPPED: ${noPtys}\n`)
}

export class Pty {
  /** What a program opens; it stays the same when the port is plugged in again. */
  readonly path: string
  readonly #process: ChildProcessWithoutNullStreams
  readonly #received: Buffer[] = []

  private constructor(path: string, process: ChildProcessWithoutNullStreams) {
    this.path = path
    this.#process = process
    process.stdout.on('data', (chunk: Buffer) => this.#received.push(chunk))
    process.stdin.on('error', () => {})
  }

  /** @param path where the port is to appear */
  static async plugIn(path: string): Promise<Pty> {
    const child =
      holder === 'socat'
        ? spawn('socat', [`PTY,raw,echo=0,link=${path}`, 'STDIO'])
        : spawn('python3', ['-c', IN_PYTHON, path])
    const end = Date.now() + START_MS_MAX
    while (!existsSync(path)) {
      if (child.exitCode !== null || Date.now() > end) throw new Error(`no pseudo terminal: ${holder}`)
      await wait(STEP_MS)
    }
    return new Pty(path, child)
  }

  /** All that the program wrote to the port. */
  get received(): Buffer {
    return Buffer.concat(this.#received)
  }

  /** As the device: to the program. */
  write(bytes: Uint8Array): void {
    this.#process.stdin.write(bytes)
  }

  onReceived(listener: (chunk: Buffer) => void): void {
    this.#process.stdout.on('data', listener)
  }

  async unplug(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return
    const ended = once(this.#process, 'exit')
    this.#process.kill('SIGKILL')
    await ended
    rmSync(this.path, { force: true })
  }
}

/** Two ports that are wired to each other. */
export async function plugInPair(first: string, second: string): Promise<[Pty, Pty]> {
  const ends: [Pty, Pty] = [await Pty.plugIn(first), await Pty.plugIn(second)]
  ends[0].onReceived((chunk) => ends[1].write(chunk))
  ends[1].onReceived((chunk) => ends[0].write(chunk))
  return ends
}
