/** Counted since the start; never reset. Plain numbers: whoever shows them reads them. */

export interface GatewayCounters {
  messagesReceived: number
  messagesSent: number
  /** Bytes that are no packet, by reason (packets/decoder.ts). */
  readonly malformed: Map<string, number>
  /** Packets that the device's state has no use for: late answers, those of other gateways. */
  unexpected: number
  /** From peers that are not connected: told so. */
  notConnected: number
  /** Above a peer's messages per second. */
  flooded: number
  collisions: number
  /** Devices that were refused, by reason: `client-id`, `not-allowed`, `protocol`, `full`, `collision`, `broker`, `broker-away`, `will`. */
  readonly refused: Map<string, number>
  /** Messages of QoS -1. */
  unconnectedAccepted: number
  unconnectedDropped: number
}

export function newGatewayCounters(): GatewayCounters {
  return {
    messagesReceived: 0,
    messagesSent: 0,
    malformed: new Map(),
    unexpected: 0,
    notConnected: 0,
    flooded: 0,
    collisions: 0,
    refused: new Map(),
    unconnectedAccepted: 0,
    unconnectedDropped: 0,
  }
}

export interface DeviceCounters {
  received: number
  sent: number
  /** PUBLISH of the device that the broker has. */
  published: number
  /** PUBLISH of the device that came again: DUP, or a copy that the network made. */
  retransmissionsSeen: number
  retransmissionsMade: number
  congested: number
  /** PUBLISH of the device that were refused for good, or were of QoS 0 and could not go. By reason. */
  readonly dropped: Map<string, number>
  /** Messages from the broker that the device has. */
  delivered: number
  /** Messages from the broker that the device will not get. By reason: `expired`, `overflow`, `too-long`, `refused`, `unsent`. */
  readonly undelivered: Map<string, number>
  /** Times that the gateway stopped repeating a message until it hears of the device. */
  unanswered: number
  connects: number
  moves: number
}

export function newDeviceCounters(): DeviceCounters {
  return {
    received: 0,
    sent: 0,
    published: 0,
    retransmissionsSeen: 0,
    retransmissionsMade: 0,
    congested: 0,
    dropped: new Map(),
    delivered: 0,
    undelivered: new Map(),
    unanswered: 0,
    connects: 0,
    moves: 0,
  }
}

export function countReason(counts: Map<string, number>, reason: string): void {
  counts.set(reason, (counts.get(reason) ?? 0) + 1)
}

/** A second's window is too jumpy to look at, a minute's too slow. */
const WINDOW_MS = 10_000

/** Messages a second over the last full window and the present one. */
export class RateMeter {
  #from = 0
  #count = 0
  #before = 0

  mark(now: number): void {
    this.#turn(now)
    this.#count++
  }

  perSecond(now: number): number {
    this.#turn(now)
    const share = 1 - (now - this.#from) / WINDOW_MS
    return ((this.#count + this.#before * share) * 1000) / WINDOW_MS
  }

  #turn(now: number): void {
    const windows = Math.floor((now - this.#from) / WINDOW_MS)
    if (windows < 1) return
    this.#before = windows === 1 ? this.#count : 0
    this.#count = 0
    this.#from += windows * WINDOW_MS
  }
}
