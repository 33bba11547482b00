/** What goes to subscribers: one message, whoever published it, and where it stands in the log. */
import type { LogPartition } from '../../log/partition.ts'
import type { MessageProperties, QoS } from '../packets/packet.ts'
import type { Backlog } from './backlog.ts'

/** Where a message stands in the log. A message that no stream takes has no place. */
export interface Place {
  readonly partition: LogPartition
  readonly offset: number
}

export interface Message {
  readonly topic: string
  /** The message's own: not a view into a socket's buffer. */
  readonly payload: Buffer
  /** As it was published. */
  readonly qos: QoS
  readonly isRetained: boolean
  readonly properties: MessageProperties | null
  /** When it was accepted, ms since 1970; what is left of its expiry counts from here. */
  readonly timestamp: number
  /** The client that published it, for No Local; null for the broker's own. */
  readonly clientId: string | null
  readonly place: Place | null
  /** Of a message of the broker's own: who waits for the acknowledgements of the sessions that are connected. */
  readonly receipt?: Receipt
  /** To be called by who keeps it for longer: its payload may be a small part of a buffer that others share. */
  own?(): void
}

/** Counts the sessions that took a message with QoS 1 or 2 while they were connected. */
export interface Receipt {
  /** A session has it to deliver. */
  expect(): void
  /** It is acknowledged, dropped, or its connection has ended. */
  came(): void
}

/** A shared subscription's members, as the one that has a message of theirs gives it back. */
export interface Group {
  /** To whose turn it is. @returns false where nobody is left */
  give(message: Message): boolean
}

/** With what a subscriber takes a message: of all its subscriptions that match. MQTT 5, section 3.3.4. */
export interface Grant {
  /** The highest that was granted. */
  readonly qos: QoS
  /** Subscription identifiers, of those that have one. */
  readonly identifiers: readonly number[]
  /** Whether the RETAIN flag goes on as it was published. */
  readonly isRetainAsPublished: boolean
  /** For whose members it takes it. */
  readonly group?: Group
}

/** A session, as the hub sees it. */
export interface Subscriber {
  readonly clientId: string
  /** Connected now: of a shared subscription's members these come first. */
  readonly isOnline: boolean
  readonly backlog: Backlog
  /** Must not throw, and must not block. */
  deliver(message: Message, grant: Grant): void
}
