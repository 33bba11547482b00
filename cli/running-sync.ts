/**
 * The upstreams and downlinks of a running broker, and what becomes of them when the configuration is read again: those whose entries
 * changed end and begin anew as at a start, each alone; all others, and ingest, go on.
 *
 *   1 a place is kept for each upstream that comes: retention waits for it from then on
 *   2 those that go or change are closed, at the same time; the round under way comes to its end
 *   3 those that are new or changed begin, from the position that upstream itself has
 *
 * A call upstream that does not end, as on a disk that does not answer, must not meet what comes after it: its upstream begins anew once it
 * has ended, and the others at once.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { PendingChange, ReloadReport } from '../broker/config/changes.ts'
import { type EntryChanges, entryChanges } from '../broker/config/entry-changes.ts'
import type { Config, DownlinkEntry, UpstreamEntry } from '../broker/config/schema.ts'
import { errorLine } from '../broker/errors.ts'
import type { UpstreamFloors } from '../broker/log/upstream-floors.ts'
import type { LogSink } from '../broker/log-sink.ts'
import type { SyncOperations } from '../broker/operations/operations.ts'
import {
  type Downlinking,
  type Replication,
  UpstreamCommands,
} from '../broker/operations/upstream-commands.ts'

export interface RunningReplication extends Replication {
  readonly leftBehind: Promise<void> | null
  start(): void
  streamsChanged(): void
  positions(): ReadonlyMap<string, number>
}

export interface RunningDownlink extends Downlinking {
  start(): void
}

export interface SyncParts {
  readonly floors: UpstreamFloors
  readonly sink: LogSink
  createReplication(entry: UpstreamEntry): Promise<RunningReplication>
  createDownlink(entry: DownlinkEntry, upstreams: readonly UpstreamEntry[]): Promise<RunningDownlink>
}

type SyncConfig = Pick<Config, 'upstreams' | 'downlinks'>

/** A reload waits so long for what closes. */
const CLOSE_MS_MAX = 15_000

export class RunningUpstreams {
  readonly #parts: SyncParts
  readonly #closeMsMax: number
  readonly #replications = new Map<string, RunningReplication>()
  readonly #downlinks = new Map<string, RunningDownlink>()
  readonly #commands = new UpstreamCommands(this.#replications, this.#downlinks)
  /** Entries that begin once what they follow has ended. */
  readonly #waiting = new Map<string, UpstreamEntry>()
  /** Upstreams that were removed and have not ended: one that comes under such a name must not meet it. */
  readonly #leaving = new Map<string, Promise<void>>()
  /** What is done to upstreams: one thing at a time. */
  #turn: Promise<unknown> = Promise.resolve()
  #config: SyncConfig = { upstreams: [], downlinks: [] }
  #isClosed = false

  constructor(parts: SyncParts, closeMsMax = CLOSE_MS_MAX) {
    this.#parts = parts
    this.#closeMsMax = closeMsMax
  }

  get operations(): SyncOperations {
    return this.#commands
  }

  /** @throws what cannot be created says */
  async start(config: SyncConfig): Promise<void> {
    this.#config = config
    for (const entry of config.upstreams) await this.#create(entry)
    for (const entry of config.downlinks) await this.#createDownlink(entry)
    for (const running of [...this.#replications.values(), ...this.#downlinks.values()]) running.start()
    this.#tell()
  }

  /**
   * Retention waits from now on for the upstreams that this configuration brings: before other streams and policies are taken up.
   * @returns takes it back, for a configuration that is not taken up
   */
  expect({ upstreams }: SyncConfig): () => void {
    const { floors } = this.#parts
    const added = upstreams.map(({ name }) => name).filter((name) => !floors.has(name))
    for (const name of added) floors.add(name)
    return () => {
      for (const name of added) floors.remove(name)
    }
  }

  /** @param secrets keys whose values no line shows */
  apply(config: SyncConfig, secrets: ReadonlySet<string>): Promise<ReloadReport> {
    return this.#inTurn(() => this.#apply(config, secrets))
  }

  async #apply(config: SyncConfig, secrets: ReadonlySet<string>): Promise<ReloadReport> {
    const upstreams = entryChanges('upstreams', this.#config.upstreams, config.upstreams, secrets)
    const downlinks = entryChanges('downlinks', this.#config.downlinks, config.downlinks, secrets)
    const areUpstreamsOther = upstreams.lines.length > 0
    this.#config = config
    for (const { name } of upstreams.added) this.#parts.floors.add(name)
    // a downlink knows where its own edge's records come back from, and may use an upstream's connection
    const stale = areUpstreamsOther ? config.downlinks : [...downlinks.added, ...downlinks.changed]
    await Promise.all([...downlinks.removed, ...stale].map(({ name }) => this.#endDownlink(name)))
    const late = await this.#end(upstreams)
    const failed: PendingChange[] = []
    for (const entry of upstreams.added) {
      const ended = this.#leaving.get(entry.name)
      if (ended === undefined) continue
      late.add(entry.name)
      this.#beginLater(entry, ended)
    }
    for (const entry of [...upstreams.changed, ...upstreams.added]) {
      if (late.has(entry.name)) failed.push({ key: `upstreams.${entry.name}`, reason: LATE })
      else await this.#begin(entry).catch((error) => failed.push(this.#failed('upstreams', entry, error)))
    }
    for (const entry of stale) {
      await this.#beginDownlink(entry).catch((error) => failed.push(this.#failed('downlinks', entry, error)))
    }
    const isNew = new Set([...upstreams.changed, ...upstreams.added].map(({ name }) => name))
    for (const [name, running] of this.#replications) if (!isNew.has(name)) running.streamsChanged()
    this.#tell()
    const applied = [...upstreams.lines, ...downlinks.lines]
    for (const line of applied) this.#parts.sink.info(`the configuration has changed: ${line}`)
    return { applied, needsRestart: failed }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.#commands.close()
  }

  // -- upstreams ------------------------------------------------------------------------------------------------------

  /** @returns those that change and have not ended in time */
  async #end({ removed, changed }: EntryChanges<UpstreamEntry>): Promise<Set<string>> {
    const late = new Set<string>()
    for (const { name } of removed) this.#waiting.delete(name)
    await Promise.all(
      [...removed, ...changed].map(async (entry) => {
        const { name } = entry
        const running = this.#replications.get(name)
        const ended = running === undefined ? Promise.resolve() : endOf(running)
        const isRemoved = removed.includes(entry)
        if (await withinTime(ended, this.#closeMsMax)) {
          if (!isRemoved) return
        } else if (!isRemoved) {
          late.add(name)
          this.#beginLater(entry, ended)
          return
        } else this.#leave(name, ended)
        this.#parts.floors.remove(name)
        this.#replications.delete(name)
      }),
    )
    return late
  }

  #leave(name: string, ended: Promise<void>): void {
    this.#leaving.set(name, ended)
    void ended.then(() => {
      if (this.#leaving.get(name) === ended) this.#leaving.delete(name)
    })
  }

  #beginLater(entry: UpstreamEntry, ended: Promise<void>): void {
    const { name } = entry
    this.#waiting.set(name, entry)
    this.#parts.sink.warn(`upstream ${name}: ${LATE}`)
    const begin = async () => {
      if (this.#waiting.get(name) !== entry || this.#isClosed) return
      try {
        await this.#begin(entry)
        this.#parts.sink.info(`upstream ${name}: runs as it is configured now`)
      } catch (error) {
        this.#failed('upstreams', entry, error)
      }
      this.#tell()
    }
    void ended.then(() => this.#inTurn(begin))
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work)
    this.#turn = done.catch(() => undefined)
    return done
  }

  async #begin(entry: UpstreamEntry): Promise<void> {
    this.#waiting.delete(entry.name)
    if (this.#isClosed) return
    const running = await this.#create(entry)
    if (this.#isClosed) await running.close()
    else running.start()
  }

  async #create(entry: UpstreamEntry): Promise<RunningReplication> {
    const running = await this.#parts.createReplication(entry)
    this.#replications.set(entry.name, running)
    this.#parts.floors.set(entry.name, () => running.positions())
    return running
  }

  // -- downlinks ------------------------------------------------------------------------------------------------------

  async #endDownlink(name: string): Promise<void> {
    await this.#downlinks
      .get(name)
      ?.close()
      .catch(() => {})
    this.#downlinks.delete(name)
  }

  async #beginDownlink(entry: DownlinkEntry): Promise<void> {
    const running = await this.#createDownlink(entry)
    if (!this.#isClosed) running.start()
  }

  async #createDownlink(entry: DownlinkEntry): Promise<RunningDownlink> {
    const running = await this.#parts.createDownlink(entry, this.#config.upstreams)
    this.#downlinks.set(entry.name, running)
    return running
  }

  // -- both -----------------------------------------------------------------------------------------------------------

  /** In the order of the configuration. */
  #tell(): void {
    const { upstreams, downlinks } = this.#config
    this.#commands.replace(inOrder(upstreams, this.#replications), inOrder(downlinks, this.#downlinks))
  }

  #failed(list: string, { name }: { readonly name: string }, error: unknown): PendingChange {
    const reason = errorLine(error)
    this.#parts.sink.error(`${list}.${name} cannot begin as it is configured now: ${reason}`)
    return { key: `${list}.${name}`, reason }
  }
}

const LATE =
  'a call to it has not come back; it begins as it is configured now once that has ended, or at the next start'

/** What is not remembered at its end, upstream remembers. */
async function endOf(running: RunningReplication): Promise<void> {
  await running.close().catch(() => {})
  await running.leftBehind
}

/** @returns false when the time was up first */
async function withinTime(work: Promise<void>, ms: number): Promise<boolean> {
  const abort = new AbortController()
  const late = delay(ms, false, { signal: abort.signal }).catch(() => false)
  const isDone = await Promise.race([work.then(() => true), late])
  abort.abort()
  return isDone
}

function inOrder<T>(
  entries: readonly { readonly name: string }[],
  running: ReadonlyMap<string, T>,
): Map<string, T> {
  return new Map(
    entries.flatMap(({ name }) => {
      const one = running.get(name)
      return one === undefined ? [] : [[name, one] as const]
    }),
  )
}
