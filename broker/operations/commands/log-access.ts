/** The log as a command sees it: asked of the running broker, or opened here when none runs. */
import { setTimeout as delay } from 'node:timers/promises'
import type { DumpQuery } from '../../log/dump.ts'
import { batchBytes } from '../../log/record-batch.ts'
import { type LogIdentity, partitionKey } from '../../log/source.ts'
import type { FactStore } from '../../storage/fact-store.ts'
import { ControlClient } from '../control/control-client.ts'
import { dumpLines } from '../dump-json.ts'
import { ControlError, NotRunningError, UnknownUpstreamError } from '../errors.ts'
import {
  type OpenedLog,
  type StatusReport,
  type StreamReport,
  streamReports,
  type UpstreamStatus,
} from '../operations.ts'
import { openReading, parseFrom } from '../reading.ts'
import { openTableReading, type TableRequest } from '../table-reading.ts'
import { type FullProgress, type FullRepair, type FullReport, repairAll, verifyAll } from '../verifying.ts'
import type { CommandContext } from './context.ts'

const BATCHES_BYTES = 262_144

export interface ReadOptions {
  readonly stream: string
  readonly partition: number | null
  /** As it was typed: parseFrom */
  readonly from: string
  readonly follow: boolean
  readonly count: number | null
}

export type RememberedPositions = (
  facts: Pick<FactStore, 'get'>,
  upstream: string,
  identity: LogIdentity,
) => Promise<ReadonlyMap<string, number>>

export interface LogAccess {
  /** false: the data directory is open in this process, and nobody else can open it until `close`. */
  readonly isRunning: boolean
  streams(): Promise<StreamReport[]>
  /** Pieces of newline-delimited JSON, each of whole lines or not. */
  read(options: ReadOptions, signal: AbortSignal): Promise<AsyncIterable<string | Buffer>>
  /** The same. @param onBuilding how far a table is that is opened here, in percent */
  table(
    request: TableRequest,
    onBuilding: (percent: number) => void,
    signal: AbortSignal,
  ): Promise<AsyncIterable<string | Buffer>>
  verify(onProgress: (progress: FullProgress) => void, signal: AbortSignal): Promise<FullReport>
  repair(onProgress: (progress: FullProgress) => void, signal: AbortSignal): Promise<FullRepair>
  /** Pieces of newline-delimited JSON (dump-json.ts), each of whole lines or not. */
  dump(query: DumpQuery, signal: AbortSignal): AsyncIterable<string | Buffer>
  identity(): Promise<LogIdentity>
  /**
   * Some stored batches of a partition from the one that holds `offset`; none at the end. A running broker is given as much time
   * for its own work as it took for this.
   */
  batches(stream: string, partition: number, offset: number): Promise<Buffer[]>
  /**
   * Up to where an upstream is known to have acknowledged, by `partitionKey`.
   * @param remembered what a stopped broker's facts say
   */
  acknowledged(upstream: string, remembered: RememberedPositions): Promise<ReadonlyMap<string, number>>
  /** The bytes of a backup (log/backup/format.ts). */
  backup(signal: AbortSignal): AsyncIterable<Buffer>
  close(): Promise<void>
}

export async function openLogAccess(context: CommandContext, dataDirectory: string): Promise<LogAccess> {
  const client = await runningBroker(dataDirectory)
  if (client !== null) return new BrokerAccess(client)
  return new DirectoryAccess(dataDirectory, await context.openLog(dataDirectory))
}

/** @returns null when no broker runs on the directory. */
export async function runningBroker(dataDirectory: string): Promise<ControlClient | null> {
  const client = await ControlClient.of(dataDirectory)
  try {
    await client.json('GET', '/streams')
    return client
  } catch (error) {
    if (error instanceof NotRunningError) return null
    throw error
  }
}

class BrokerAccess implements LogAccess {
  readonly isRunning = true
  readonly #client: ControlClient

  constructor(client: ControlClient) {
    this.#client = client
  }

  async streams(): Promise<StreamReport[]> {
    return (await this.#client.json<{ streams: StreamReport[] }>('GET', '/streams')).streams
  }

  async read(options: ReadOptions, signal: AbortSignal): Promise<AsyncIterable<string | Buffer>> {
    return this.#client.pieces('GET', '/read', { ...options }, signal)
  }

  async table(
    request: TableRequest,
    _onBuilding: (percent: number) => void,
    signal: AbortSignal,
  ): Promise<AsyncIterable<string | Buffer>> {
    return this.#client.pieces('GET', '/table', { ...request }, signal)
  }

  verify(onProgress: (progress: FullProgress) => void, signal: AbortSignal): Promise<FullReport> {
    return this.#long('/log/verify', onProgress, signal)
  }

  repair(onProgress: (progress: FullProgress) => void, signal: AbortSignal): Promise<FullRepair> {
    return this.#long('/log/repair', onProgress, signal)
  }

  async #long<Report>(
    path: string,
    onProgress: (progress: FullProgress) => void,
    signal: AbortSignal,
  ): Promise<Report> {
    type Line = { progress: FullProgress } | { report: Report }
    for await (const line of this.#client.lines<Line>('POST', path, {}, signal)) {
      if ('report' in line) return line.report
      onProgress(line.progress)
    }
    throw new ControlError('the broker ended the work before its report')
  }

  dump(query: DumpQuery, signal: AbortSignal): AsyncIterable<Buffer> {
    return this.#client.pieces('GET', '/log/dump', { ...query }, signal)
  }

  async identity(): Promise<LogIdentity> {
    const { broker } = await this.#client.json<StatusReport>('GET', '/status')
    const { edge, incarnation } = broker!
    return { edge, incarnation }
  }

  async batches(stream: string, partition: number, from: number): Promise<Buffer[]> {
    const startedAt = performance.now()
    const pieces: Buffer[] = []
    const never = new AbortController().signal
    for await (const piece of this.#client.pieces(
      'GET',
      '/log/batches',
      { stream, partition, from },
      never,
    )) {
      pieces.push(piece)
    }
    await delay(performance.now() - startedAt)
    return splitBatches(Buffer.concat(pieces))
  }

  async acknowledged(upstream: string): Promise<ReadonlyMap<string, number>> {
    const { upstreams } = await this.#client.json<{ upstreams: UpstreamStatus[] }>('GET', '/sync/status')
    const found = upstreams.find(({ name }) => name === upstream)
    if (found === undefined) {
      throw new UnknownUpstreamError(
        upstream,
        upstreams.map(({ name }) => name),
      )
    }
    const known = found.partitions.filter(({ position }) => position !== null)
    return new Map(known.map((state) => [partitionKey(state.stream, state.partition), state.position!]))
  }

  backup(signal: AbortSignal): AsyncIterable<Buffer> {
    return this.#client.pieces('GET', '/backup', {}, signal)
  }

  async close(): Promise<void> {}
}

class DirectoryAccess implements LogAccess {
  readonly isRunning = false
  readonly #directory: string
  readonly #log: OpenedLog

  constructor(directory: string, log: OpenedLog) {
    this.#directory = directory
    this.#log = log
  }

  async streams(): Promise<StreamReport[]> {
    const tables = await this.#log.tables()
    await tables.whenOpen()
    return streamReports(this.#log, tables)
  }

  async read(options: ReadOptions, signal: AbortSignal): Promise<AsyncIterable<string>> {
    // Nothing is ever written here while this process holds the directory.
    if (options.follow) throw new NotRunningError(this.#directory)
    return openReading(this.#log, { ...options, from: parseFrom(options.from) }, signal)
  }

  async table(
    request: TableRequest,
    onBuilding: (percent: number) => void,
    signal: AbortSignal,
  ): Promise<AsyncIterable<string>> {
    if (request.follow) throw new NotRunningError(this.#directory)
    const tables = await this.#log.tables()
    if (tables.has(request.stream)) await tables.whenBuilt(request.stream, onBuilding, signal)
    return openTableReading(this.#log, tables, request, signal)
  }

  async verify(onProgress: (progress: FullProgress) => void, signal: AbortSignal): Promise<FullReport> {
    return verifyAll(this.#log, await this.#log.tables(), onProgress, signal)
  }

  async repair(onProgress: (progress: FullProgress) => void, signal: AbortSignal): Promise<FullRepair> {
    return repairAll(this.#log, await this.#log.tables(), onProgress, signal)
  }

  dump(query: DumpQuery, signal: AbortSignal): AsyncIterable<string> {
    return until(signal, dumpLines(this.#log, query))
  }

  async identity(): Promise<LogIdentity> {
    return this.#log.identity
  }

  async batches(stream: string, partition: number, offset: number): Promise<Buffer[]> {
    const found = await this.#log.read(stream, partition, offset, BATCHES_BYTES)
    return found.map(({ bytes }) => bytes)
  }

  acknowledged(upstream: string, remembered: RememberedPositions): Promise<ReadonlyMap<string, number>> {
    return remembered(this.#log.facts, upstream, this.#log.identity)
  }

  backup(signal: AbortSignal): AsyncIterable<Buffer> {
    return until(signal, this.#log.backup())
  }

  close(): Promise<void> {
    return this.#log.close()
  }
}

async function* until<T>(signal: AbortSignal, pieces: AsyncIterable<T>): AsyncGenerator<T, void, void> {
  for await (const piece of pieces) {
    if (signal.aborted) return
    yield piece
  }
}

function splitBatches(bytes: Buffer): Buffer[] {
  const found: Buffer[] = []
  for (let at = 0; at < bytes.length; ) {
    const end = at + batchBytes(bytes.subarray(at))
    if (end > bytes.length) throw new ControlError('a batch came cut off')
    found.push(bytes.subarray(at, end))
    at = end
  }
  return found
}
