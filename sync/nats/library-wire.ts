/**
 * The wire on @nats-io/transport-node and @nats-io/jetstream. This file is loaded when an upstream first connects: the
 * libraries take 5 MB, and an edge without NATS has none of it.
 */
import { type JetStreamClient, type JetStreamManager, jetstream, jetstreamManager } from '@nats-io/jetstream'
import {
  type Authenticator,
  type ConnectionOptions,
  credsAuthenticator,
  type NatsConnection,
  headers as newHeaders,
  nkeyAuthenticator,
  type TlsOptions,
} from '@nats-io/transport-node'
import { parseAddress } from '../address.ts'
import type { TlsMaterial } from '../tls.ts'
import type { Login } from './credentials.ts'
import { toWireError } from './faults.ts'
import { connect } from './library.ts'
import {
  type NatsWire,
  NatsWireError,
  type NewStream,
  type Publication,
  type StoredMessage,
  type StreamFacts,
} from './wire.ts'

/** Messages that one read asks for, each up to `messageBytesMax`. */
const READ_MESSAGES_MAX = 32
const READ_MS = 5000
/** After two of them without an answer the connection is given up. */
const PING_MS = 20_000
const NANOSECONDS_PER_MS = 1_000_000

export interface WireOptions {
  /** host:port */
  readonly server: string
  /** Shown in the server's list of connections. */
  readonly clientName: string
  readonly connectMs: number
  readonly requestMs: number
  readonly domain: string | null
  readonly inboxPrefix: string
  readonly login: Login | null
  /** Null where the server decides, by what the system trusts. */
  readonly tls: (TlsMaterial & { readonly servername?: string | undefined }) | null
}

/** @throws NatsWireError */
export async function openWire(options: WireOptions): Promise<NatsWire> {
  const { domain, requestMs } = options
  try {
    const connection = await connect(connectionOptions(options))
    const api = { timeout: requestMs, ...(domain === null ? {} : { domain }) }
    const manager = await jetstreamManager(connection, { ...api, checkAPI: false })
    return new LibraryWire(connection, manager, jetstream(connection, { ...api }), requestMs)
  } catch (error) {
    throw error instanceof NatsWireError ? error : toWireError(error)
  }
}

function connectionOptions(options: WireOptions): ConnectionOptions & { timeout: number } {
  const { server, clientName, connectMs, inboxPrefix, tls } = options
  return {
    servers: [server],
    name: clientName,
    timeout: connectMs,
    inboxPrefix,
    // The replicator decides when to try again, and asks where upstream stands when it does.
    reconnect: false,
    // Each address of its name is dialled once; a limit would drop the next one with the first.
    maxReconnectAttempts: -1,
    ignoreClusterUpdates: true,
    noAsyncTraces: true,
    pingInterval: PING_MS,
    ...loginOptions(options.login),
    ...(tls === null ? {} : { tls: tlsOptions(server, tls) }),
  }
}

/** What stands here the library hands on to the TLS socket. */
function tlsOptions(
  server: string,
  { ca, cert, key, passphrase, servername }: NonNullable<WireOptions['tls']>,
): TlsOptions {
  const text = (name: string, bytes: Buffer | undefined) =>
    bytes === undefined ? {} : { [name]: bytes.toString('utf8') }
  return {
    ...text('ca', ca),
    ...text('cert', cert),
    ...text('key', key),
    ...(passphrase === undefined ? {} : { passphrase }),
    // Of an address in numbers the library gives no name, and Node then takes a certificate for "localhost".
    ...(servername === undefined ? { host: parseAddress(server).host } : { servername }),
  } as TlsOptions
}

function loginOptions(login: Login | null): ConnectionOptions {
  switch (login?.kind) {
    case undefined:
      return {}
    case 'user':
      return { user: login.user, pass: login.password }
    case 'token':
      return { token: login.token }
    case 'nkey':
      return { authenticator: checked('login.nkeyFile', nkeyAuthenticator(login.seed)) }
    case 'creds':
      return { authenticator: checked('login.credsFile', credsAuthenticator(login.creds)) }
  }
}

/** What cannot be parsed shows now: inside the handshake nobody would hear of it. The parser's words may hold the secret. */
function checked(field: string, authenticator: Authenticator): Authenticator {
  try {
    authenticator('nonce')
    return authenticator
  } catch {
    throw new NatsWireError('auth', `${field} does not hold what it should`, null)
  }
}

class LibraryWire implements NatsWire {
  readonly #connection: NatsConnection
  readonly #manager: JetStreamManager
  readonly #client: JetStreamClient
  readonly #requestMs: number

  constructor(
    connection: NatsConnection,
    manager: JetStreamManager,
    client: JetStreamClient,
    requestMs: number,
  ) {
    this.#connection = connection
    this.#manager = manager
    this.#client = client
    this.#requestMs = requestMs
  }

  get messageBytesMax(): number {
    return this.#connection.info?.max_payload ?? 1 << 20
  }

  async stream(name: string): Promise<StreamFacts | null> {
    try {
      return factsOf(await this.#manager.streams.info(name))
    } catch (error) {
      const fault = toWireError(error)
      if (fault.fault === 'no-stream') return null
      throw fault
    }
  }

  createStream(stream: NewStream): Promise<StreamFacts> {
    const { name, subjects, replicas, storage, bytesMax, ageMsMax } = stream
    return guarded(async () => {
      const info = await this.#manager.streams.add({
        name,
        subjects: [...subjects],
        num_replicas: replicas,
        storage: storage as never,
        retention: 'limits' as never,
        discard: 'old' as never,
        max_bytes: bytesMax,
        max_age: ageMsMax * NANOSECONDS_PER_MS,
      })
      return factsOf(info)
    })
  }

  lastMessage(stream: string, subject: string): Promise<StoredMessage | null> {
    return guarded(async () => {
      const found = await this.#manager.streams.getMessage(stream, { last_by_subj: subject })
      return found === null ? null : stored(found)
    })
  }

  messageAt(stream: string, seq: number): Promise<StoredMessage | null> {
    return guarded(async () => {
      const found = await this.#manager.streams.getMessage(stream, { seq })
      return found === null ? null : stored(found)
    })
  }

  async *messages(stream: string, subject: string, fromSeq: number): AsyncIterable<StoredMessage> {
    const last = await this.lastMessage(stream, subject)
    if (last === null || last.seq < fromSeq) return
    const options = { filter_subjects: subject, opt_start_seq: Math.max(1, fromSeq) }
    const consumer = await guarded(() => this.#client.consumers.get(stream, options))
    const read = { max_messages: READ_MESSAGES_MAX, expires: READ_MS }
    for (let seq = 0; ; ) {
      const before = seq
      const batch = await guarded(() => consumer.fetch(read))
      for await (const message of guardedEach(batch)) {
        yield {
          subject: message.subject,
          seq: message.seq,
          header: headerOf(message.headers),
          payload: message.data,
        }
        seq = message.seq
        if (seq >= last.seq) return
      }
      // What was to come may have been purged meanwhile.
      const still = seq > before ? last : await this.lastMessage(stream, subject)
      if (still === null || still.seq <= seq) return
    }
  }

  publish({ stream, subject, headers, payload, expectedSeq }: Publication): Promise<number> {
    return guarded(async () => {
      const all = newHeaders()
      for (const [name, value] of headers) all.set(name, value)
      const acknowledgement = await this.#client.publish(subject, payload, {
        headers: all,
        timeout: this.#requestMs,
        expect: { streamName: stream, lastSubjectSequence: expectedSeq },
      })
      return acknowledgement.seq
    })
  }

  close(): void {
    this.#connection.close().catch(() => {})
  }
}

async function guarded<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw error instanceof NatsWireError ? error : toWireError(error)
  }
}

/** A consumer that went with its stream, or whose server did, says so while its messages are awaited. */
async function* guardedEach<T>(messages: AsyncIterable<T>): AsyncGenerator<T> {
  try {
    yield* messages
  } catch (error) {
    throw error instanceof NatsWireError ? error : toWireError(error)
  }
}

type StreamInfo = Awaited<ReturnType<JetStreamManager['streams']['info']>>

function factsOf({ config, created, state }: StreamInfo): StreamFacts {
  const oddities: string[] = []
  if (config.no_ack) oddities.push('it acknowledges nothing (no_ack)')
  if (config.mirror !== undefined) oddities.push('it is a mirror of another stream')
  if (config.subject_transform !== undefined) oddities.push('it renames subjects (subject_transform)')
  if (config.sealed) oddities.push('it is sealed')
  return {
    name: config.name,
    created,
    subjects: config.subjects ?? [],
    retention: config.retention,
    oddities,
    firstSeq: state.first_seq,
    lastSeq: state.last_seq,
    deleted: state.num_deleted ?? 0,
  }
}

function headerOf(headers: { has(name: string): boolean; get(name: string): string } | undefined) {
  return (name: string) => (headers?.has(name) ? headers.get(name) : null)
}

function stored(message: {
  subject: string
  seq: number
  header: Parameters<typeof headerOf>[0]
  data: Uint8Array
}): StoredMessage {
  const { subject, seq, header, data } = message
  return { subject, seq, header: headerOf(header), payload: data }
}
