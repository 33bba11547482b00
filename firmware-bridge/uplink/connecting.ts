/** One attempt to connect: a client of mqtt.js, from CONNECT up to where what was in flight before has been sent again and answered. */
import type { MqttClient as Client, IDisconnectPacket } from 'mqtt'
import type { BridgeError } from '../errors.ts'
import { AcknowledgementSieve, type TakeAcknowledgement } from './acknowledgement-sieve.ts'
import { type CodedAttempt, failed } from './attempt.ts'
import { type ClientParts, newClient } from './client.ts'
import { finalEnd } from './reason-codes.ts'

/** The session that connects. */
export interface Connecting {
  readonly clientId: string
  readonly brokerName: string
  /** Nobody wants the connection any more. */
  isEnded(): boolean
  /** Before anything comes of it. */
  onClient(client: Client): void
  /** Of exchanges that mqtt.js knows nothing of; else it sees them as any packet. */
  onAcknowledgement(client: Client, ...acknowledgement: Parameters<TakeAcknowledgement>): boolean
  /** Before mqtt.js deals with it. */
  onPacket(client: Client, packet: { cmd: string }): void
  onReady(client: Client): void
  /** Also of a connection that was never ready. @param end why the broker ended the session for good; null: it did not say so */
  onClosed(client: Client, end: string | null): void
}

export function connectOnce(parts: ClientParts, session: Connecting): Promise<CodedAttempt> {
  return new Promise((resolve) => {
    let client: Client
    try {
      const sieve = new AcknowledgementSieve((...acknowledgement) =>
        session.onAcknowledgement(client, ...acknowledgement),
      )
      client = newClient({ ...parts, sieve })
    } catch (error) {
      resolve({ outcome: 'unreachable', error: error as BridgeError, code: null })
      return
    }
    let failure: (Error & { code?: number | string }) | null = null
    let end: string | null = null
    let isAnswered = false
    session.onClient(client)
    client.on('error', (error) => {
      failure ??= error
    })
    client.on('packetreceive', (packet) => {
      isAnswered ||= packet.cmd === 'connack'
      session.onPacket(client, packet as { cmd: string })
    })
    client.on('disconnect', ({ reasonCode }: IDisconnectPacket) => {
      end = finalEnd(reasonCode ?? 0)
    })
    client.on('connect', () => {
      if (session.isEnded()) return
      session.onReady(client)
      resolve({ outcome: 'reached', error: null, code: 0 })
    })
    client.on('close', () => {
      const made = failed(failure, isAnswered, session.clientId, session.brokerName)
      // what was ended here says nothing about the broker
      resolve(session.isEnded() ? { ...made, outcome: 'dropped' } : made)
      session.onClosed(client, end)
    })
  })
}
