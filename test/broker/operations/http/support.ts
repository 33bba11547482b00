/** A listener on a free port, over operations that a test hands in, and requests to it as they stand on the wire. */
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type IncomingMessage, request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach } from 'vitest'
import { Guard } from '../../../../broker/operations/http/guard.ts'
import { apiHandlers } from '../../../../broker/operations/http/handlers.ts'
import { HttpServer, type HttpTimes } from '../../../../broker/operations/http/http-server.ts'
import { PageFiles } from '../../../../broker/operations/http/page-files.ts'
import { TokenFile } from '../../../../broker/operations/http/token-file.ts'
import type { Operations } from '../../../../broker/operations/operations.ts'
import { nodeDisk } from '../../../../broker/storage/node-disk.ts'
import { RecordingSink } from '../../log/support.ts'
import { FakeLog, fakeOperations } from '../fake-log.ts'

const closers: (() => Promise<void> | void)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

export interface HttpTestOptions {
  readonly operations?: Operations
  readonly token?: string
  readonly hosts?: readonly string[]
  readonly isGuarded?: boolean
  /** Of the page. */
  readonly files?: Readonly<Record<string, string | Buffer>>
  readonly times?: HttpTimes
  /** 127.0.0.1 is this machine then, and the others of its network are other machines. */
  readonly hasOutside?: boolean
}

export interface Answer {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly text: string
}

export interface HttpTest {
  readonly port: number
  readonly log: FakeLog
  readonly sink: RecordingSink
  /** Of the clock that nobody sets. */
  readonly time: { now: number }
  readonly directory: string
  ask(path: string, options?: AskOptions): Promise<Answer>
  json(path: string, options?: AskOptions): Promise<unknown>
  /** A connection that a test writes to. @param from the address it comes from, of 127.0.0.0/8 */
  open(from?: string): Promise<Wire>
}

export interface AskOptions {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

export async function startHttpTest(options: HttpTestOptions = {}): Promise<HttpTest> {
  const directory = mkdtempSync(join(tmpdir(), 'headwater-http-'))
  closers.push(() => rmSync(directory, { recursive: true, force: true }))
  for (const [name, content] of Object.entries(options.files ?? {})) {
    writeFileSync(join(directory, name), content)
  }
  const log = new FakeLog({ events: 2 })
  const sink = new RecordingSink()
  const time = { now: 0 }
  const monotonic = () => time.now
  const tokenPath = `${directory}.token`
  if (options.token !== undefined) {
    writeFileSync(tokenPath, options.token)
    closers.push(() => rmSync(tokenPath, { force: true }))
  }
  const token =
    options.token === undefined
      ? null
      : await TokenFile.open(tokenPath, { disk: nodeDisk, log: sink, monotonic })
  const guard = new Guard({
    token,
    hosts: options.hosts ?? [],
    isGuarded: () => options.isGuarded ?? false,
    log: sink,
    monotonic,
  })
  const operations = options.operations ?? fakeOperations(log)
  const handlers = apiHandlers({ operations, openApi: async () => '{"openapi":"3.1.0"}' })
  const { times, hasOutside = false } = options
  const parts = {
    guard,
    handlers,
    files: new PageFiles(directory),
    ...(times === undefined ? {} : { times }),
    ...(hasOutside ? { isLocal: (address: string) => address === '127.0.0.1' } : {}),
  }
  const server = await HttpServer.start({ host: '127.0.0.1', port: 0 }, parts)
  closers.push(() => server.close())
  const port = Number(server.address.split(':')[1])
  const ask = (path: string, how: AskOptions = {}) => askPort(port, path, how)
  return {
    port,
    log,
    sink,
    time,
    directory,
    ask,
    async json(path, how) {
      return JSON.parse((await ask(path, how)).text)
    },
    async open(from = '127.0.0.1') {
      const socket = connect({ port, host: '127.0.0.1', localAddress: from })
      closers.push(() => void socket.destroy())
      await once(socket, 'connect')
      return new Wire(socket)
    },
  }
}

async function askPort(port: number, path: string, { method = 'GET', headers = {}, body }: AskOptions) {
  const outgoing = request({ host: '127.0.0.1', port, method, path, headers, agent: false })
  outgoing.end(body)
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
  const pieces: Buffer[] = []
  for await (const piece of response as AsyncIterable<Buffer>) pieces.push(piece)
  return { status: response.statusCode!, headers: response.headers, text: Buffer.concat(pieces).toString() }
}

export const post = (body: unknown = {}, headers: Readonly<Record<string, string>> = {}): AskOptions => ({
  method: 'POST',
  headers: { 'content-type': 'application/json', ...headers },
  body: typeof body === 'string' ? body : JSON.stringify(body),
})

export class Wire {
  readonly socket: Socket
  text = ''
  readonly #ended: Promise<void>

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => {
      this.text += chunk.toString()
    })
    socket.on('error', () => {})
    this.#ended = new Promise((resolve) => socket.once('close', () => resolve()))
  }

  /** Ended, by whichever side. */
  get isClosed(): boolean {
    return this.socket.closed
  }

  /** @returns all that came, once the other side has ended the connection */
  async ended(): Promise<string> {
    await this.#ended
    return this.text
  }
}
