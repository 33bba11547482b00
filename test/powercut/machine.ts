/**
 * A whole machine whose power is cut: qemu makes it, with its own kernel, on a disk of which a cut takes what was not flushed. Nothing of
 * what runs in it is asked to help: devices publish from outside, and what is on the disk at the end is read without the machine.
 *
 *   devices ── qemu: broker ── ext4 of the machine's kernel ── virtio ── FUSE file ── device-process.ts ── VolatileDisk ── image file
 *
 * qemu hands on a flush of the machine as fdatasync, and answers it afterwards (cache=writeback).
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { openLog, readRecords } from '../../broker/index.ts'
import { recordJson } from '../../broker/operations/record-json.ts'
import { freePort } from '../support/kafka/ports.ts'
import type { Random } from '../support/random.ts'
import { MachineSilentError, type Patience, whyNot, wordOf } from './boot.ts'
import { Device } from './device.ts'
import { type FoundRecord, Judge } from './judge.ts'
import { ServedTime } from './served-time.ts'
import { attachLoop, type Place, run, unmount } from './system.ts'
import { type CutReport, LOSSES } from './volatile-disk.ts'
import type { Writer } from './writer.ts'
import { makeWriters } from './writers.ts'

export interface MachineOptions {
  /** The disk as it is installed: copied, and left alone. */
  readonly disk: string
  readonly diskBytes: number
  /** The program and its arguments; what the words below stand for is put in. */
  readonly command: readonly string[]
  readonly seed: number
  readonly patience?: Patience
}

export interface MachineCut {
  readonly during: 'work' | 'boot'
  /** From power on to the first connection; of a cut during the boot: to the cut. */
  readonly upMs: number
  /** Of it, what the emulator was let work. */
  readonly servedMs: number
  /** Since the cut before. */
  readonly acknowledged: number
  readonly cut: CutReport
}

/**
 * In the command: the disk, the ports here that lead to the broker there and to what says how that machine is, and a place for what is told to
 * its kernel.
 */
export const PORT_WORD = '@PORT@'
export const SAYS_WORD = '@SAYS@'
export const DISK_WORD = '@DISK@'
export const UNIT_WORD = '@UNIT@'
const TEST_UNIT = 'systemd.wants=package-test.service'
/** Emulated; an hour and a half where the emulator's machine has other work. */
const PATIENCE: Patience = { servedMsMax: 600_000, passedMsMax: 5_400_000 }
/** Of a run: boots of a machine that said nothing, after which its power was cut once more. */
export const SILENT_MAX = 3
/** A moment that does not come by then is not waited for any longer. */
const MOMENT_MS_MAX = 120_000
const RETRY_MS = 1_000
const LOOK_MS = 20
/** Of how many messages one is the last before the cut, and of how many writes and flushes after it. */
const ACKNOWLEDGED = [20, 600] as const
const WORK_OPERATIONS = 300
/** A boot takes some hundred, most of them late. */
const BOOT_OPERATIONS = 200
const READ_BYTES = 4 * 1024 * 1024
/** Of the package. */
const DATA = 'var/lib/headwater'

export class Machine {
  readonly #place: Place
  readonly #options: MachineOptions
  readonly #device: Device
  readonly #random: Random
  readonly #writers: readonly Writer[]
  #process: ChildProcess | null = null
  #served: ServedTime | null = null
  #port = 0
  #saysPort = 0
  #silent = 0

  private constructor(place: Place, options: MachineOptions, device: Device, random: Random) {
    this.#place = place
    this.#options = options
    this.#device = device
    this.#random = random
    this.#writers = makeWriters(options.seed)
  }

  static async create(place: Place, options: MachineOptions, random: Random): Promise<Machine> {
    const copy = async () => void (await run('cp', ['--sparse=always', options.disk, place.image]))
    const { diskBytes: sizeBytes, seed } = options
    const settings = { sizeBytes, seed, ignoresFlushes: false, mountOptions: '' }
    return new Machine(place, options, await Device.create(place, settings, copy), random)
  }

  /** Boots, lets devices publish until a moment comes, and cuts; or cuts while it boots. */
  cycle(during: MachineCut['during']): Promise<MachineCut> {
    return this.#untilItSpeaks(() => this.#cycle(during))
  }

  async #cycle(during: MachineCut['during']): Promise<MachineCut> {
    const before = this.acknowledged
    const began = performance.now()
    const loss = LOSSES[this.#random.between(0, LOSSES.length - 1)]!
    const cut = this.#device.whenCut()
    let upMs: number
    await this.#powerOn()
    if (during === 'boot') {
      this.#device.arm(this.#random.between(1, BOOT_OPERATIONS), loss)
      await this.#orLater(cut, () => this.#device.arm(0, loss))
      upMs = performance.now() - began
    } else {
      await this.#connect()
      upMs = performance.now() - began
      await this.#hasAcknowledged(before + this.#random.between(...ACKNOWLEDGED))
      this.#device.arm(this.#random.between(1, WORK_OPERATIONS), loss)
      await this.#orLater(cut, () => this.#device.arm(0, loss))
    }
    const servedMs = this.#look().servedMs
    await this.#takeDown()
    return { during, upMs, servedMs, acknowledged: this.acknowledged - before, cut: await cut }
  }

  /** The machine comes up once more, does what its test unit is told to, ends, and its disk is read. @returns what is wrong */
  async judge(): Promise<string[]> {
    await this.#untilItSpeaks(async () => {
      const machine = await this.#powerOn(TEST_UNIT)
      while (machine.exitCode === null && machine.signalCode === null) {
        await pause(RETRY_MS)
        await this.#mind('the machine did not end by itself')
      }
    })
    this.#process = null
    await this.#settle()
    const { image, mountPoint } = this.#place
    await run('e2fsck', ['-fp', image])
    const loop = await attachLoop(image)
    try {
      await run('mount', ['-t', 'ext4', loop, mountPoint])
      // the broker's user owns it there, and whoever reads a log makes files in it
      const data = join(this.#place.directory, 'data')
      await run('cp', ['-r', join(mountPoint, DATA), data])
      return await this.#read(data)
    } finally {
      await unmount(mountPoint).catch(() => undefined)
      await run('losetup', ['-d', loop])
    }
  }

  /** Boots that were given up because the machine said nothing. */
  get silent(): number {
    return this.#silent
  }

  get acknowledged(): number {
    return this.#writers.reduce((sum, { ledger }) => sum + ledger.acknowledged, 0)
  }

  /** Takes everything down, whatever state it is in. */
  async close(options: { keep: boolean }): Promise<void> {
    this.#process?.kill('SIGKILL')
    await Promise.all(this.#writers.map((writer) => writer.cut()))
    await this.#device.close(options)
  }

  /** What the emulator brings to a standstill is no fault of what runs in it: its power is cut, and it boots again. */
  async #untilItSpeaks<T>(boot: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await boot()
      } catch (error) {
        if (!(error instanceof MachineSilentError) || this.#silent === SILENT_MAX) throw error
        this.#silent++
        const cut = this.#device.whenCut()
        this.#device.arm(0, LOSSES[this.#random.between(0, LOSSES.length - 1)]!)
        await cut
        await this.#takeDown()
      }
    }
  }

  #look(): ServedTime {
    this.#served!.look()
    return this.#served!
  }

  /** @throws what keeps it, when it has had its time */
  async #mind(what: string): Promise<void> {
    const word = () => wordOf(this.#saysPort)
    const error = await whyNot(what, this.#look(), this.#options.patience ?? PATIENCE, word)
    if (error !== null) throw error
  }

  /** @param unit what the kernel is told to have started */
  async #powerOn(unit = ''): Promise<ChildProcess> {
    const place = this.#place
    // a new one each time: what listens on it now is qemu, or nothing
    this.#port = await freePort()
    this.#saysPort = await freePort()
    const words = {
      [DISK_WORD]: place.device,
      [PORT_WORD]: String(this.#port),
      [SAYS_WORD]: String(this.#saysPort),
      [UNIT_WORD]: unit,
    }
    const [program, ...args] = this.#options.command.map((argument) =>
      Object.entries(words).reduce((text, [word, value]) => text.replace(word, value), argument),
    )
    const machine = spawn(program!, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    machine.stdout.on('data', (text: Buffer) => appendFileSync(join(place.directory, 'console'), text))
    this.#process = machine
    this.#served = ServedTime.of(machine.pid!)
    return machine
  }

  /** Each device tries again until the broker lets it in. */
  async #connect(): Promise<void> {
    let isOver = false
    let last = 'none has tried'
    const start = async (writer: Writer): Promise<void> => {
      while (!isOver) {
        await pause(RETRY_MS)
        if (this.#process?.exitCode !== null) throw new Error('the machine ended: see its console')
        try {
          return await writer.start(this.#port)
        } catch (error) {
          last = (error as Error).message
          await writer.cut()
        }
      }
    }
    const mind = async (): Promise<void> => {
      while (!isOver) {
        await pause(RETRY_MS)
        await this.#mind(`a client is not let in (${last})`)
      }
    }
    const all = Promise.all(this.#writers.map(start))
    const minded = mind()
    try {
      await Promise.race([all, minded])
    } finally {
      isOver = true
      // a writer that is at it must not be left to the next boot
      await Promise.allSettled([all, minded])
    }
  }

  async #hasAcknowledged(wanted: number): Promise<void> {
    const deadline = performance.now() + MOMENT_MS_MAX
    while (this.acknowledged < wanted && performance.now() < deadline) await pause(LOOK_MS)
  }

  /** Waits for the cut, which is made at once when its moment does not come. */
  async #orLater(cut: Promise<CutReport>, now: () => void): Promise<void> {
    const timer = setTimeout(now, MOMENT_MS_MAX)
    await cut.finally(() => clearTimeout(timer))
  }

  /** The signal first: what the thawed disk answers reaches nobody who could acknowledge it. */
  async #takeDown(): Promise<void> {
    const process = this.#process!
    const ended = process.exitCode === null ? once(process, 'exit') : Promise.resolve()
    process.kill('SIGKILL')
    await Promise.all(this.#writers.map((writer) => writer.cut()))
    this.#device.thaw()
    await ended
    this.#process = null
    await this.#device.powerOff()
  }

  /** After an orderly end: all that was written is on the medium. */
  async #settle(): Promise<void> {
    const cut = this.#device.whenCut()
    this.#device.arm(0, 'none')
    await cut
    this.#device.thaw()
    await this.#device.powerOff()
  }

  async #read(data: string): Promise<string[]> {
    const ledgers = this.#writers.map(({ ledger }) => ledger)
    const judge = new Judge('every-record', ledgers, this.#options.seed)
    const log = await openLog(data)
    try {
      for (const ends of log.partitions()) {
        const { stream, partition, logStartOffset, durableOffset } = ends
        const records: FoundRecord[] = []
        for (let offset = logStartOffset; offset < durableOffset; ) {
          for (const batch of await log.read(stream, partition, offset, READ_BYTES)) {
            for (const record of readRecords(batch.bytes)) {
              const { topic, value } = recordJson(stream, partition, record)
              records.push({ offset: record.offset, topic, value: typeof value === 'string' ? value : null })
            }
            offset = batch.nextOffset
          }
        }
        judge.take(ends, records)
      }
    } finally {
      await log.close()
    }
    return judge.verdict().problems
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
