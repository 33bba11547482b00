/** The servers under load, each a process of its own on a free loopback port. */
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { ask, type Program, startWorker, stopProcess } from '../children.ts'
import { type Load, packetBytesOf, RING_PACKETS } from './load.ts'
import type { SinkJob } from './sink-worker.ts'

export interface Server {
  readonly name: string
  /** What a PUBACK means, in a few words. */
  readonly acknowledges: string
  start(load: Load): Promise<RunningServer>
}

export interface RunningServer {
  readonly pid: number
  readonly port: number
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

export const sink: Server = {
  name: 'generator alone',
  acknowledges: 'no work',
  async start(load) {
    const worker = startWorker(SINK_WORKER)
    const job: SinkJob = { packetBytes: packetBytesOf(load), ringPackets: RING_PACKETS }
    const port = await ask<SinkJob, number>(worker, job)
    return { pid: worker.pid!, port, stop: () => stopProcess(worker) }
  },
}
