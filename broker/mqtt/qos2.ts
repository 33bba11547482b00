/**
 * QoS 2 packet ids in flight: received, not yet released by PUBREL. A PUBLISH that comes again under the same client id and
 * packet id is acknowledged and not appended, across restarts: an id is committed in the same write as its record, its
 * release in a commit of its own before PUBCOMP.
 *
 * A client that lost its session may use an id again for another message. So a PUBLISH is a repetition only when its bytes
 * are those of the first one, and, once the session was cleaned, only when it is marked DUP: a message is never taken for
 * an old one and dropped.
 *
 * In notes (log/note.ts): added := [op, …], op := [0, client, packetId, digest] in flight | [1, client, packetId] released
 * | [2, client] session cleaned. Snapshot := [[client, cleaned, [[packetId, digest], …]], …], cleaned := false none of its ids | true all of them
 * | [packetId, …] these.
 */
import type { CommitState } from '../log/commit-state.ts'
import { crc32c } from '../storage/crc32c.ts'

type Op = [0, string, number, number] | [1, string, number] | [2, string]
type Snapshot = [client: string, cleaned: boolean | number[], ids: [packetId: number, digest: number][]][]

interface ClientIds {
  /** The session began anew since these ids came: they only match repetitions marked DUP. */
  readonly cleaned: Set<number>
  readonly digests: Map<number, number>
}

/**
 * Ids remembered over all clients. Past it a client is forgotten that holds as many as clients do on average or more, the one that was silent
 * longest of them: a client that never releases its ids does not make others' forgotten.
 */
const IDS_MAX = 20_000

export interface Qos2Message {
  readonly clientId: string
  readonly packetId: number
  readonly isDup: boolean
  readonly topic: string
  readonly payload: Uint8Array
}

export class Qos2Ids implements CommitState {
  readonly name = 'qos2'
  /** With what is pending: what a client is answered by. */
  readonly #live = new IdTable()
  /** Without what is pending: what a segment's head may say, because only this is on disk. */
  readonly #sealed = new IdTable()
  #pending: Op[] = []
  /** What the last commit took: once there is another one it is on disk. */
  #taken: Op[] = []
  /** What may be in flight while the log is read again. */
  #maybe: Map<string, Set<number>> | null = null

  /** Ids in flight. */
  get count(): number {
    return this.#live.count
  }

  isRepetition(message: Qos2Message): boolean {
    const client = this.#live.clients.get(message.clientId)
    if (client === undefined || (client.cleaned.has(message.packetId) && !message.isDup)) return false
    return client.digests.get(message.packetId) === digestOf(message)
  }

  /**
   * Whether the disk may have the id in flight: for while the chain has failed, when nobody knows which of the last operations it kept, and is opened
   * again, when not all has been read.
   */
  mayHold(clientId: string, packetId: number): boolean {
    const isReleased = ([kind, client, id]: Op) => kind === 1 && client === clientId && id === packetId
    return (
      this.#live.clients.get(clientId)?.digests.has(packetId) === true ||
      this.#maybe?.get(clientId)?.has(packetId) === true ||
      this.#taken.some(isReleased) ||
      this.#pending.some(isReleased)
    )
  }

  /** The message's record goes into the open commit: so does its id. */
  add(message: Qos2Message): void {
    this.#do([0, message.clientId, message.packetId, digestOf(message)])
  }

  /** PUBREL: the id is free once the open commit is on disk. @returns false when it was not in flight. */
  release(clientId: string, packetId: number): boolean {
    if (this.#live.clients.get(clientId)?.digests.has(packetId) !== true) return false
    this.#do([1, clientId, packetId])
    return true
  }

  /** CONNECT with a clean session. @returns false when that changes nothing. */
  clean(clientId: string): boolean {
    const client = this.#live.clients.get(clientId)
    if (client === undefined || client.cleaned.size === client.digests.size) return false
    this.#do([2, clientId])
    return true
  }

  takePending(): Op[] | undefined {
    const pending = this.#pending
    this.#taken = pending
    if (pending.length === 0) return undefined
    this.#pending = []
    for (const op of pending) this.#sealed.apply(op)
    return pending
  }

  restore(snapshot: unknown): void {
    this.#keepDoubtful()
    this.#pending = []
    this.#taken = []
    this.#live.restore((snapshot ?? []) as Snapshot)
    this.#sealed.restore((snapshot ?? []) as Snapshot)
  }

  apply(added: unknown): void {
    for (const op of added as Op[]) {
      this.#live.apply(op)
      this.#sealed.apply(op)
    }
  }

  snapshot(): Snapshot {
    return this.#sealed.snapshot()
  }

  /** Of what is known so far, before it is read again: more than is on disk, never less. */
  #keepDoubtful(): void {
    const maybe = this.#maybe ?? new Map<string, Set<number>>()
    const keep = (clientId: string, packetId: number) => {
      const ids = maybe.get(clientId)
      if (ids === undefined) maybe.set(clientId, new Set([packetId]))
      else ids.add(packetId)
    }
    for (const [clientId, { digests }] of this.#live.clients) {
      for (const packetId of digests.keys()) keep(clientId, packetId)
    }
    for (const op of [...this.#taken, ...this.#pending]) if (op[0] === 1) keep(op[1], op[2])
    this.#maybe = maybe
  }

  #do(op: Op): void {
    // the chain is open: what is on disk is known
    this.#maybe = null
    this.#live.apply(op)
    this.#pending.push(op)
  }
}

class IdTable {
  /** Ordered by last use. */
  readonly clients = new Map<string, ClientIds>()
  count = 0

  restore(snapshot: Snapshot): void {
    this.clients.clear()
    this.count = 0
    for (const [client, cleaned, ids] of snapshot) {
      const digests = new Map(ids)
      this.clients.set(client, {
        cleaned: new Set(cleaned === true ? digests.keys() : cleaned || []),
        digests,
      })
      this.count += ids.length
    }
  }

  snapshot(): Snapshot {
    return [...this.clients].map(([client, { cleaned, digests }]) => {
      const isAll = cleaned.size === digests.size
      return [client, isAll || (cleaned.size > 0 && [...cleaned]), [...digests]]
    })
  }

  apply(op: Op): void {
    const clientId = op[1]
    const client = this.clients.get(clientId) ?? {
      cleaned: new Set<number>(),
      digests: new Map<number, number>(),
    }
    this.clients.delete(clientId)
    if (op[0] === 0) {
      if (!client.digests.has(op[2])) this.count++
      client.digests.set(op[2], op[3])
      client.cleaned.delete(op[2])
    } else if (op[0] === 1) {
      if (client.digests.delete(op[2])) this.count--
      client.cleaned.delete(op[2])
    } else {
      for (const packetId of client.digests.keys()) client.cleaned.add(packetId)
    }
    if (client.digests.size > 0) this.clients.set(clientId, client)
    while (this.count > IDS_MAX) this.#forgetOne()
  }

  #forgetOne(): void {
    const average = this.count / this.clients.size
    for (const [clientId, client] of this.clients) {
      if (client.digests.size < average) continue
      this.clients.delete(clientId)
      this.count -= client.digests.size
      return
    }
  }
}

/** 32 bits tell two messages of one client under one id apart well enough: both must be in flight at once. */
function digestOf(message: Qos2Message): number {
  return (crc32c(message.payload) ^ Math.imul(crc32c(Buffer.from(message.topic)), 0x9e3779b1)) >>> 0
}
