/** A systemd-notify in a directory of its own, for PATH: writes down what it is told, one line a call. */
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export class FakeSystemd {
  readonly directory = mkdtempSync(join(tmpdir(), 'headwater-systemd-'))
  readonly #told = join(this.directory, 'told')

  constructor(exitCode = 0) {
    const program = join(this.directory, 'systemd-notify')
    writeFileSync(
      program,
      `#!/bin/sh\n(IFS='|'; echo "$NOTIFY_SOCKET|$*") >> '${this.#told}'\nexit ${exitCode}\n`,
    )
    chmodSync(program, 0o755)
    // found first by commands that look for it
    symlinkSync(process.execPath, join(this.directory, 'node'))
  }

  /** For the process that is to tell. @param watchdogMs how long it says that it waits */
  environment(watchdogMs: number | null = null): Record<string, string> {
    return {
      PATH: `${this.directory}:${process.env.PATH}`,
      NOTIFY_SOCKET: '/run/fake/notify',
      ...(watchdogMs === null ? {} : { WATCHDOG_USEC: String(watchdogMs * 1000) }),
    }
  }

  /** Calls with their assignments, in order; all came with the socket. */
  get told(): string[][] {
    if (!existsSync(this.#told)) return []
    const lines = readFileSync(this.#told, 'utf8').split('\n').slice(0, -1)
    return lines.map((line) => {
      const [socket, ...assignments] = line.split('|')
      if (socket !== '/run/fake/notify') throw new Error(`told elsewhere: ${line}`)
      return assignments
    })
  }

  /** How often an assignment was told. */
  count(assignment: string): number {
    return this.told.filter((assignments) => assignments.includes(assignment)).length
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true })
  }
}
