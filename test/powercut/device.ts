/** A disk under ext4 whose power can be cut: a process serves the file under a loop device (device-process.ts). */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { attachLoop, type Place, run, unmount } from './system.ts'
import type { CutReport, Loss } from './volatile-disk.ts'

export type Command =
  /** Cut at so many writes and flushes from now; 0: now. */
  | { readonly do: 'arm'; readonly after: number; readonly loss: Loss }
  /** Answer what waits, so that the dead system can be taken down. */
  | { readonly do: 'thaw' }
  /** The medium becomes what the cut left. */
  | { readonly do: 'revive' }
  | { readonly do: 'count' }
  /** Whom to kill with this process. */
  | { readonly do: 'broker'; readonly pid: number }
  /** Leave the image where it is at the end. */
  | { readonly do: 'keep' }

export type Report =
  | { readonly is: 'ready' | 'revived' }
  | { readonly is: 'cut'; readonly operations: number; readonly cut: CutReport }
  | { readonly is: 'count'; readonly operations: number }

export interface DeviceOptions {
  readonly sizeBytes: number
  readonly seed: number
  readonly ignoresFlushes: boolean
  /** Of `mount -o`. */
  readonly mountOptions: string
}

/** The journal is small, so that it wraps around often; the tables are written at once, so that no kernel thread does it later. */
const MKFS = ['-q', '-F', '-J', 'size=8', '-N', '16384']
const MKFS_EXTENDED = 'nodiscard,lazy_itable_init=0,lazy_journal_init=0'

async function emptyExt4({ image }: Place): Promise<void> {
  await run('mkfs.ext4', [...MKFS, '-E', MKFS_EXTENDED, image])
}

export class Device {
  readonly place: Place
  readonly #process: ChildProcess
  readonly #mountOptions: string
  #loop: string | null = null
  #isMounted = false
  #isEnded = false

  private constructor(place: Place, process: ChildProcess, mountOptions: string) {
    this.place = place
    this.#process = process
    this.#mountOptions = mountOptions
  }

  /** A new disk. @param format makes what is on it; an empty ext4 where nothing is said */
  static async create(place: Place, options: DeviceOptions, format = emptyExt4): Promise<Device> {
    mkdirSync(place.mountPoint, { recursive: true })
    writeFileSync(place.image, '')
    truncateSync(place.image, options.sizeBytes)
    await format(place)
    const script = fileURLToPath(new URL('./device-process.js', import.meta.url))
    const args = [place.directory, options.sizeBytes, options.seed, options.ignoresFlushes].map(String)
    // in a group of its own: a Ctrl-C, or two, must not reach the tools with which it takes down what is there
    const stdio = ['ignore', 'inherit', 'inherit', 'ipc'] as const
    const child = fork(script, args, { execArgv: [], stdio: [...stdio], detached: true })
    const device = new Device(place, child, options.mountOptions)
    child.once('exit', () => {
      device.#isEnded = true
    })
    await device.#reported('ready')
    return device
  }

  /** Attaches and mounts; ext4 replays its journal. */
  async powerOn(): Promise<void> {
    this.#loop = await attachLoop(this.place.device)
    const { mountPoint } = this.place
    await run('mount', ['-t', 'ext4', '-o', this.#mountOptions, this.#loop, mountPoint])
    this.#isMounted = true
  }

  /** Resolves at the cut; from then on the disk does not answer. */
  whenCut(): Promise<CutReport> {
    const cut = this.#reported('cut').then((report) => report.cut)
    // who waits for it may have failed before
    cut.catch(() => {})
    return cut
  }

  /** The cut comes at so many writes and flushes from now, at once for 0. There is one cut until `powerOff`. */
  arm(after: number, loss: Loss): void {
    this.#send({ do: 'arm', after, loss })
  }

  /** Lets what is left of the dead system end. Call it once nothing alive could take it for an answer. */
  thaw(): void {
    this.#send({ do: 'thaw' })
  }

  /** After `thaw`, and when no process uses the mount: takes the dead system down and makes the medium what the cut left. */
  async powerOff(): Promise<void> {
    await this.detach()
    const revived = this.#reported('revived')
    this.#send({ do: 'revive' })
    await revived
  }

  /** Unmounts and detaches, as an orderly shutdown does. */
  async detach(): Promise<void> {
    if (this.#isMounted) await unmount(this.place.mountPoint)
    this.#isMounted = false
    if (this.#loop !== null) await run('losetup', ['-d', this.#loop])
    this.#loop = null
  }

  /** Writes and flushes so far. */
  async operations(): Promise<number> {
    const counted = this.#reported('count')
    this.#send({ do: 'count' })
    return (await counted).operations
  }

  /** Whom to kill when this process dies. */
  brokerIs(pid: number): void {
    this.#send({ do: 'broker', pid })
  }

  /** Ends the disk's process, which takes down what is still there. */
  async close(options: { keep: boolean }): Promise<void> {
    if (this.#isEnded) return
    const exited = once(this.#process, 'exit')
    if (options.keep) this.#send({ do: 'keep' })
    this.#process.disconnect()
    await exited
  }

  #send(command: Command): void {
    if (this.#process.connected) this.#process.send(command)
  }

  #reported<K extends Report['is']>(kind: K): Promise<Extract<Report, { is: K }>> {
    return new Promise((resolve, reject) => {
      const onMessage = (report: Report): void => {
        if (report.is !== kind) return
        done()
        resolve(report as Extract<Report, { is: K }>)
      }
      const onExit = (): void => {
        done()
        reject(new Error('the disk’s process ended'))
      }
      const done = (): void => {
        this.#process.off('message', onMessage)
        this.#process.off('exit', onExit)
      }
      this.#process.on('message', onMessage)
      this.#process.once('exit', onExit)
    })
  }
}
