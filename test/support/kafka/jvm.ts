import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Installation } from './installation.ts'

const START_MS_MAX = 60_000
const TERMINATE_MS_MAX = 10_000
const STARTED = 'Kafka Server started'

/** Name of the file in the broker's directory that holds its pid as long as it runs. */
export const PID_FILE = 'pid'

/** Measured on 2 cores: SerialGC and C1 alone start in 1.7 s against 2.2 s, with shared class data in 1.0 s. */
const JVM_FLAGS = ['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-XX:-UsePerfData']

/** One life of a broker process. */
export class Jvm {
  readonly pid: number
  /** Resolves when the process is gone, however it went. */
  readonly gone: Promise<void>
  readonly #child: ChildProcess
  readonly #log: string

  /** Starts the broker whose `server.properties` is in `home`; it serves when `started` resolves. */
  constructor(
    from: Installation,
    home: string,
    heapMb: number,
    flags: readonly string[] = sharedClasses(from),
    moreFlags: readonly string[] = [],
  ) {
    this.#log = join(home, 'kafka.log')
    const out = openSync(this.#log, 'w')
    this.#child = spawn(
      from.java,
      [`-Xmx${heapMb}m`, ...JVM_FLAGS, ...flags, ...moreFlags, ...brokerArguments(from, home)],
      {
        cwd: home,
        // A session of its own, so that Ctrl-C reaches the test runner alone, which then ends the broker.
        detached: true,
        stdio: ['ignore', out, out],
      },
    )
    closeSync(out)
    this.#child.once('error', () => {}) // No pid says the same, below.
    if (this.#child.pid === undefined) throw new Error(`cannot run ${from.java}`)
    this.pid = this.#child.pid
    const pidFile = join(home, PID_FILE)
    writeFileSync(pidFile, String(this.pid))
    // Whoever forgets to stop a broker must not hang: the process may exit, and cleanup.ts ends the broker.
    this.#child.unref()
    this.gone = new Promise((resolve) => {
      this.#child.once('exit', () => {
        rmSync(pidFile, { force: true })
        resolve()
      })
    })
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** Resolves when the broker serves; rejects with the end of its log when it cannot. */
  async started(): Promise<void> {
    const deadline = Date.now() + START_MS_MAX
    while (!readFileSync(this.#log, 'utf8').includes(STARTED)) {
      const late = Date.now() > deadline
      if (late || !this.isRunning) {
        const end = this.#child.exitCode ?? this.#child.signalCode
        const how = late ? `did not start within ${START_MS_MAX} ms` : `exited with ${end}`
        await this.kill()
        throw new Error(`Kafka ${how}; end of its log:\n${readFileSync(this.#log, 'utf8').slice(-4000)}`)
      }
      await sleep(20)
    }
  }

  /** Sends SIGKILL and does not wait. */
  killNow(): void {
    this.#child.kill('SIGKILL')
  }

  async kill(): Promise<void> {
    this.killNow()
    await this.#waitGone()
  }

  /** SIGTERM; SIGKILL when that takes too long. */
  async terminate(): Promise<void> {
    this.#child.kill('SIGTERM')
    const timer = setTimeout(() => this.killNow(), TERMINATE_MS_MAX)
    await this.#waitGone()
    clearTimeout(timer)
  }

  async #waitGone(): Promise<void> {
    this.#child.ref()
    await this.gone
  }
}

function sharedClasses(from: Installation): readonly string[] {
  const isThere = (statSync(from.classArchive, { throwIfNoEntry: false })?.size ?? 0) > 0
  return isThere ? [`-XX:SharedArchiveFile=${from.classArchive}`] : []
}

function brokerArguments(from: Installation, home: string): string[] {
  return [
    `-Dlog4j2.configurationFile=${join(home, 'log4j2.properties')}`,
    `-Dheadwater.log=${process.env.HEADWATER_TEST_KAFKA_LOG || 'warn'}`,
    // The codecs' native libraries are unpacked here, and leave with the directory.
    `-Djava.io.tmpdir=${home}`,
    '-cp',
    from.classpath,
    'kafka.Kafka',
    join(home, 'server.properties'),
  ]
}
