/** SUBSCRIBE and UNSUBSCRIBE of one connection: what is permitted, and answers once it is on disk. */
import { encodeSuback, encodeUnsuback } from '../packets/answers.ts'
import type { Connect, Subscribe, Unsubscribe } from '../packets/packet.ts'
import { Reason } from '../packets/protocol-error.ts'
import { splitFilter } from '../packets/topics.ts'
import type { Session } from '../session/session.ts'
import type { Who } from '../who.ts'
import type { Principal } from './access.ts'
import type { ConnectionContext } from './context.ts'
import { Block, type FrameReader } from './frame-reader.ts'
import type { Outbox } from './outbox.ts'

export interface SubscribingClient {
  readonly connect: Connect
  readonly principal: Principal
  readonly who: Who
  readonly session: Session
  readonly reader: FrameReader
  readonly outbox: Outbox
  /** The connection has to end. */
  drop(error: Error): void
}

export class Subscribing {
  readonly #context: ConnectionContext
  readonly #client: SubscribingClient
  #underWay = 0
  #isClosed = false

  constructor(context: ConnectionContext, client: SubscribingClient) {
    this.#context = context
    this.#client = client
  }

  subscribe(packet: Subscribe): void {
    const { access, limited } = this.#context
    const { principal, who, session, connect } = this.#client
    const grants = packet.subscriptions.map(({ filter, qos }) => {
      if (access.maySubscribe(principal, splitFilter(filter).filter)) return qos
      const fields = { ...who, filter, reason: `may not subscribe to ${filter}` }
      limited.warn('may not subscribe', 'refused a subscription', fields)
      return Reason.notAuthorized
    })
    const codes = session.subscribe(packet, grants)
    this.#answerLater(codes, (reasonCodes) => encodeSuback(connect.version, packet.packetId, reasonCodes))
  }

  unsubscribe(packet: Unsubscribe): void {
    const { session, connect } = this.#client
    const codes = session.unsubscribe(packet.filters)
    this.#answerLater(codes, (reasonCodes) => encodeUnsuback(connect.version, packet.packetId, reasonCodes))
  }

  /** Subscriptions that were granted by other rules, perhaps to somebody else with this client id, end. */
  endForbidden(): void {
    const { access, limited } = this.#context
    const { principal, session, who, drop } = this.#client
    const forbidden = session.filters.filter(
      (filter) => !access.maySubscribe(principal, splitFilter(filter).filter),
    )
    if (forbidden.length === 0) return
    session.unsubscribe(forbidden).catch(drop)
    limited.warn('forbidden', 'ended subscriptions that are not allowed any more', {
      ...who,
      filters: forbidden.slice(0, 10).join(' '),
      count: forbidden.length,
    })
  }

  /** The connection ends: nothing is answered. */
  close(): void {
    this.#isClosed = true
  }

  #answerLater(codes: Promise<number[]>, encode: (reasonCodes: number[]) => Buffer): void {
    const { reader, outbox, drop } = this.#client
    this.#underWay++
    if (this.#underWay >= this.#context.limits.subscribesUnderWayMax) reader.block(Block.subscribing)
    codes
      .then((reasonCodes) => {
        this.#underWay--
        if (this.#isClosed) return
        outbox.write(encode(reasonCodes))
        reader.unblock(Block.subscribing)
      })
      .catch(drop)
  }
}
