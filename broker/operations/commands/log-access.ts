/** The log as a command sees it: asked of the running broker, or opened here when none runs. */
import { ControlClient } from '../control/control-client.ts'
import { ControlError, NotRunningError } from '../errors.ts'
import { type OpenedLog, type StreamReport, streamReports } from '../operations.ts'
import { openReading, parseFrom } from '../reading.ts'
import { openTableReading, type TableRequest } from '../table-reading.ts'
import { type FullProgress, type FullRepair, type FullReport, repairAll, verifyAll } from '../verifying.ts'
import type { CommandContext } from './context.ts'

export interface ReadOptions {
  readonly stream: string
  readonly partition: number | null
  /** As it was typed: parseFrom */
  readonly from: string
  readonly follow: boolean
  readonly count: number | null
}

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

  async verify(onProgress: (progress: FullProgress) => void): Promise<FullReport> {
    return verifyAll(this.#log, await this.#log.tables(), onProgress)
  }

  async repair(onProgress: (progress: FullProgress) => void): Promise<FullRepair> {
    return repairAll(this.#log, await this.#log.tables(), onProgress)
  }

  close(): Promise<void> {
    return this.#log.close()
  }
}
