/**
 * Who may do what, and how fast: what a connection asks of the door. The open door here lets everybody do everything; listeners that only this
 * machine reaches can do with it.
 */
import type { ReasonCode } from '../packets/protocol-error.ts'

export interface PeerInfo {
  /** Of the other side: host and port, for log lines and limits by address. */
  readonly address: string
  readonly port: number
  /** The listener that it came to, as it is bound. */
  readonly listener?: string
  /** Named by the client's certificate, where it was asked for one. */
  readonly identity: string | null
  /** False once the listener's authorities vouch for that certificate no more; without it they always do. */
  readonly isVouchedFor?: () => boolean
}

/** A client that was let in. */
export interface Principal {
  /** null: anonymous. */
  readonly name: string | null
  readonly clientId: string
}

/** Why a client is not let in. */
export interface Refusal {
  readonly reasonCode: ReasonCode
  /** For the log; the client is told the code alone. */
  readonly text: string
}

export interface Credentials {
  readonly clientId: string
  readonly username: string | null
  readonly password: Buffer | null
  readonly peer: PeerInfo
  /** false once the client has gone. */
  isWanted(): boolean
}

export interface Access {
  canConnect(credentials: Credentials): Promise<Principal | Refusal>
  mayPublish(principal: Principal, topic: string): boolean
  maySubscribe(principal: Principal, filter: string): boolean
  /** Whether a client that was let in still would be, as the one it was then. */
  knows(principal: Principal, peer: PeerInfo): boolean
  /** Clients are told apart by their users. */
  readonly hasUsers: boolean
  /** Whether somebody can come in by this name. */
  isUser(name: string): boolean
  /** Whether it is certain that nobody comes in by this name any more: not where all names are missing, as while their file is. */
  isGone(name: string): boolean
  /** Changes when the rules do: answers that were remembered are asked for again. */
  readonly generation: number
}

/** What one client may still send, also as one of its user's. */
export interface Quota {
  /**
   * What was read and handled is charged, a chunk at a time; nothing asks how long to wait.
   * @returns ms in which nothing more is to be read; 0: go on
   */
  charge(messages: number, bytes: number): number
  /** The connection has ended. */
  release(): void
}

export interface Quotas {
  /** A socket has come, and has cost nothing yet. @returns why it is refused, or null */
  arrives(address: string): string | null
  /** A connection was accepted. @returns why it is refused, or null */
  refuses(peer: PeerInfo): string | null
  quotaOf(principal: Principal, peer: PeerInfo): Quota
  /** A connection that was not refused has ended. */
  left(peer: PeerInfo): void
}

export const OPEN_ACCESS: Access = {
  async canConnect({ clientId }) {
    return { name: null, clientId }
  },
  mayPublish: () => true,
  maySubscribe: () => true,
  knows: () => true,
  hasUsers: false,
  isUser: () => true,
  isGone: () => false,
  generation: 0,
}

const NO_LIMIT: Quota = { charge: () => 0, release() {} }

export const NO_QUOTAS: Quotas = {
  arrives: () => null,
  refuses: () => null,
  quotaOf: () => NO_LIMIT,
  left() {},
}

export function isRefused(answer: Principal | Refusal): answer is Refusal {
  return 'reasonCode' in answer
}
