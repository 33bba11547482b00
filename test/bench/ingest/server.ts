/** The servers under load, each a process of its own on a free loopback port. */
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { ask, type Program, startWorker, stopProcess } from '../children.ts'
import { entryBytesOf, type Load, ringEntries } from './load.ts'
import { type Manner, versionOf } from './manner.ts'
import type { SinkJob } from './sink-worker.ts'

export interface Server {
  readonly name: string
  /** What a PUBACK means, in a few words. */
  readonly acknowledges: string
  start(manner: Manner): Promise<RunningServer>
}

export interface RunningServer {
  readonly pid: number
  readonly port: number
  /** How many messages it has kept, where it keeps them: what was acknowledged must be among them. */
  records?(): Promise<number>
  stop(): Promise<void>
}

const READY_MS_MAX = 20_000
const POLL_MS = 20

/** Waits until the program listens. @param cleanUp for after its end */
export async function running(
  { child, lastWords }: Program,
  port: number,
  cleanUp: () => void = () => {},
): Promise<RunningServer> {
  const stop = async () => {
    await stopProcess(child)
    cleanUp()
  }
  const deadline = performance.now() + READY_MS_MAX
  while (!(await listens(port))) {
    if (child.exitCode !== null || child.signalCode !== null || performance.now() > deadline) {
      await stop()
      throw new Error(`${child.spawnfile} does not listen on port ${port}: ${lastWords()}`)
    }
    await sleep(POLL_MS)
  }
  return { pid: child.pid!, port, stop }
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

const SINK_WORKER = new URL('./sink-worker.js', import.meta.url)

/** A server that only acknowledges this load. */
export function sinkOf(load: Load): Server {
  return {
    name: SINK,
    acknowledges: 'no work',
    async start(manner) {
      const worker = startWorker(SINK_WORKER)
      const job: SinkJob = {
        version: versionOf(manner),
        entryBytes: entryBytesOf(load),
        ringEntries: ringEntries(load.entry),
      }
      const port = await ask<SinkJob, number>(worker, job)
      return { pid: worker.pid!, port, stop: () => stopProcess(worker) }
    },
  }
}

export const SINK = 'generator alone'
