/**
 * One disk's life: written to, cut, mounted, started, judged, written to again. A cycle ends with a broker that runs on what the last
 * cut left, so that the next cycle cuts a log with all cuts before it in its past.
 */
import { type FSWatcher, watch, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openLog, readRecords } from '../../broker/index.ts'
import { BrokerProcess } from '../support/broker-process.ts'
import { freePort } from '../support/kafka/ports.ts'
import { Device, type DeviceOptions } from './device.ts'
import { ask, type Inspection, inspect } from './inspection.ts'
import { Judge } from './judge.ts'
import { originOf } from './payload.ts'
import type { CyclePlan, LaterCut } from './plan.ts'
import { configurationOf, type Scenario } from './scenarios.ts'
import { type Place, run } from './system.ts'
import type { CutReport } from './volatile-disk.ts'
import type { Writer } from './writer.ts'
import { makeWriters } from './writers.ts'

export interface CycleResult extends Inspection {
  /** In this cycle, before the cut. */
  readonly acknowledged: number
  /** From the start of the broker's process to its first listener. */
  readonly recoveryMs: number
  readonly cuts: readonly CutReport[]
}

/** A moment that does not come by then is not waited for any longer: the power is cut at once. */
const MOMENT_MS_MAX = 4_000
const READ_BYTES = 4 * 1024 * 1024

export class History {
  readonly #device: Device
  readonly #scenario: Scenario
  readonly #broker: BrokerProcess
  readonly #writers: readonly Writer[]
  readonly #judge: Judge
  readonly #port: number
  /** Writes and flushes that the last mount and the last start took. */
  readonly #taken = { mount: 20, start: 40 }

  private constructor(device: Device, scenario: Scenario, port: number, seed: number) {
    this.#device = device
    this.#scenario = scenario
    this.#port = port
    this.#broker = new BrokerProcess(['--config', device.place.config])
    this.#writers = makeWriters(seed)
    this.#judge = new Judge(
      scenario.expectation,
      this.#writers.map(({ ledger }) => ledger),
      seed,
    )
  }

  /** A new disk. */
  static async create(
    place: Place,
    scenario: Scenario,
    options: Omit<DeviceOptions, 'mountOptions'>,
  ): Promise<History> {
    const port = await freePort()
    const device = await Device.create(place, { ...options, mountOptions: scenario.mountOptions })
    writeFileSync(place.config, configurationOf(scenario, place.data, port))
    return new History(device, scenario, port, options.seed)
  }

  /** The broker's first start. */
  async begin(): Promise<void> {
    await this.#recover()
  }

  /** All that the broker said, the oldest cut off. */
  get brokerOutput(): string {
    return this.#broker.output
  }

  async cycle(plan: CyclePlan): Promise<CycleResult> {
    const before = this.#acknowledged()
    const cuts = [await this.#cutAtWork(plan)]
    const acknowledged = this.#acknowledged() - before
    for (const later of plan.later) cuts.push(await this.#cutComingUp(later))
    const recoveryMs = await this.#recover()
    const inspection = await inspect(this.#broker, this.#device.place.data, this.#judge)
    return { ...inspection, acknowledged, recoveryMs, cuts }
  }

  /** Stops the broker, reads the whole log once more, and has the file system itself checked. @returns what is wrong */
  async end(): Promise<string[]> {
    const problems: string[] = []
    const code = await this.#broker.end('SIGTERM')
    if (code !== 0) problems.push(`the broker ended with ${code}`)
    if (this.#scenario.expectation !== 'latest-per-key') problems.push(...(await this.#readAgain()))
    const cut = this.#device.whenCut()
    await this.#device.detach()
    this.#device.arm(0, 'none')
    await cut
    this.#device.thaw()
    await this.#device.powerOff()
    await run('e2fsck', ['-fn', this.#device.place.image]).catch((error: Error) =>
      problems.push(error.message),
    )
    return problems
  }

  /** Takes everything down, whatever state it is in. */
  async close(options: { keep: boolean }): Promise<void> {
    const ended = this.#broker.end('SIGKILL')
    await Promise.all(this.#writers.map((writer) => writer.cut()))
    await this.#device.close(options)
    await ended
  }

  // -- cuts -------------------------------------------------------------------------------------------------------------

  async #cutAtWork(plan: CyclePlan): Promise<CutReport> {
    const device = this.#device
    const cut = device.whenCut()
    const limit = setTimeout(() => device.arm(0, plan.loss), MOMENT_MS_MAX)
    let watcher: FSWatcher | undefined
    try {
      if (plan.moment === 'commit') device.arm(plan.after, plan.loss)
      // the disk may halt while a connection waits for its CONNACK
      await Promise.race([cut, Promise.allSettled(this.#writers.map((writer) => writer.start(this.#port)))])
      const { request } = this.#scenario
      // it may be cut off in the middle
      if (request !== undefined) void ask(this.#device.place.data, request).catch(() => {})
      await Promise.race([cut, pause(plan.waitMs)])
      watcher = this.#bring(plan)
      return await cut
    } finally {
      clearTimeout(limit)
      watcher?.close()
      await this.#takeDown()
    }
  }

  /** Lets the cut come at its moment. @returns what looks for the moment, where it is looked for */
  #bring(plan: CyclePlan): FSWatcher | undefined {
    switch (plan.moment) {
      case 'commit':
        return undefined // armed already
      case 'compaction':
        this.#device.arm(plan.after, plan.loss)
        return undefined
      case 'any time':
        this.#device.arm(0, plan.loss)
        return undefined
      case 'shutdown':
        this.#stopUnderCut(plan)
        return undefined
      default:
        return this.#watch(plan)
    }
  }

  /** Cuts a few writes after the moment showed itself in the data directory. */
  #watch(plan: CyclePlan): FSWatcher {
    const trigger = this.#scenario.triggers[plan.moment]
    if (trigger === undefined) throw new Error(`${this.#scenario.name} has no trigger for ${plan.moment}`)
    const watcher = watch(join(this.#device.place.data, trigger.directory), (_event, name) => {
      if (name === null || !trigger.name.test(name)) return
      watcher.close()
      this.#device.arm(plan.after, plan.loss)
    })
    return watcher
  }

  #stopUnderCut({ after, loss }: CyclePlan): void {
    this.#device.arm(after, loss)
    // its last writes stand in the page cache when it is gone
    void this.#broker.end('SIGTERM').then(() => this.#device.arm(0, loss))
  }

  async #cutComingUp({ during, loss, share }: LaterCut): Promise<CutReport> {
    const device = this.#device
    const cut = device.whenCut()
    const after = 1 + Math.floor(share * this.#taken[during])
    if (during === 'mount') device.arm(after, loss)
    const coming = device.powerOn()
    if (during === 'start') {
      await coming
      device.arm(after, loss)
    }
    const up = during === 'mount' ? coming : this.#startBroker()
    await Promise.race([cut, up.catch(() => undefined)])
    device.arm(0, loss)
    const report = await cut
    const settled = up.catch(() => undefined)
    await this.#takeDown(settled)
    return report
  }

  /** @param settled what may wait for the disk until it is thawed */
  async #takeDown(settled: Promise<unknown> = Promise.resolve()): Promise<void> {
    // the signal first: what the thawed disk answers reaches nobody who could acknowledge it
    const ended = this.#broker.end('SIGKILL')
    await Promise.all(this.#writers.map((writer) => writer.cut()))
    this.#device.thaw()
    await ended
    await settled
    await this.#device.powerOff()
  }

  // -- up again ---------------------------------------------------------------------------------------------------------

  /** @returns milliseconds that the broker took. */
  async #recover(): Promise<number> {
    const began = await this.#device.operations()
    await this.#device.powerOn()
    const mounted = await this.#device.operations()
    const started = performance.now()
    await this.#startBroker()
    const ms = performance.now() - started
    this.#taken.mount = Math.max(1, mounted - began)
    this.#taken.start = Math.max(1, (await this.#device.operations()) - mounted)
    return ms
  }

  async #startBroker(): Promise<void> {
    const starting = this.#broker.start()
    if (this.#broker.pid !== undefined) this.#device.brokerIs(this.#broker.pid)
    await starting
  }

  #acknowledged(): number {
    return this.#writers.reduce((sum, { ledger }) => sum + ledger.acknowledged, 0)
  }

  /** What was read after each cut is what the log holds at the end: no record changed its place or its bytes. */
  async #readAgain(): Promise<string[]> {
    const log = await openLog(this.#device.place.data)
    try {
      const problems: string[] = []
      for (const { stream, partition, logStartOffset, durableOffset } of log.partitions()) {
        const expected = this.#judge.recordsOf(stream, partition)
        let [offset, next, wrong] = [logStartOffset, logStartOffset, 0]
        while (offset < durableOffset) {
          for (const batch of await log.read(stream, partition, offset, READ_BYTES)) {
            for (const record of readRecords(batch.bytes)) {
              if (record.offset < logStartOffset) continue
              const origin = originOf(record.value?.toString('latin1') ?? '')
              const isKnown = `${origin?.writer} ${origin?.sequence}` === expected[record.offset]
              if (!isKnown || record.offset !== next) wrong++
              next = record.offset + 1
            }
            offset = batch.nextOffset
          }
        }
        if (next !== durableOffset) wrong++
        if (wrong > 0)
          problems.push(`${stream}/${partition}: ${wrong} records are not those that were read before`)
      }
      return problems
    } finally {
      await log.close()
    }
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
