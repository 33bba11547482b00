/** Puts the MQTT side together on a log that is open: hub, sessions from their store, front. */
import type { EventLog } from '../log/event-log.ts'
import type { LogSink } from '../log-sink.ts'
import type { Disk } from '../storage/store.ts'
import type { Access, Quotas } from './connection/access.ts'
import type { ConnectionLimits } from './connection/limits.ts'
import type { TimerWheel } from './connection/timer-wheel.ts'
import type { ListenerOptions } from './door/listener.ts'
import { Front } from './front.ts'
import { Hub } from './hub/hub.ts'
import type { Message } from './hub/message.ts'
import type { Ingress } from './ingress.ts'
import { messageHeaders, messageOf } from './record-headers.ts'
import type { Router } from './router.ts'
import type { SessionLimits } from './session/limits.ts'
import { Sessions } from './session/sessions.ts'
import type { PublishWill } from './session/wills.ts'

export interface FrontWorld {
  readonly disk: Disk
  /** The data directory. */
  readonly data: string
  readonly log: EventLog
  readonly ingress: Ingress
  readonly router: Router
  readonly sink: LogSink
  readonly clock: {
    /** ms since 1970 */
    now(): number
    /** The same, or null while the clock is not to be trusted. */
    trustedNow(): number | null
    /** ms of any origin */
    monotonic(): number
  }
  readonly access?: Access
  readonly quotas?: Quotas
  readonly wheel?: TimerWheel
}

export interface OpenFrontOptions {
  readonly listeners: readonly ListenerOptions[]
  readonly connectionsMax: number
  readonly limits?: Partial<ConnectionLimits>
  readonly sessionLimits?: Partial<SessionLimits>
}

/** @throws ListenError, and what the sessions' store has to say: nothing is left open then */
export async function openFront(world: FrontWorld, options: OpenFrontOptions): Promise<Front> {
  const { ingress, clock, access } = world
  const hub = new Hub()
  const publishWill: PublishWill = (will, clientId) =>
    publishOf(ingress, sessions, clock.now, { ...will, clientId })
  const sessions: Sessions = await Sessions.open({
    ...world,
    hub,
    messageOf,
    publishWill,
    ...(access === undefined ? {} : { rules: access }),
    ...(options.sessionLimits === undefined ? {} : { limits: options.sessionLimits }),
  })
  try {
    const front = new Front({ ...world, hub, sessions, log: world.sink, now: clock.now }, options)
    // other rules may count than when the broker ended
    front.review()
    await front.listen()
    sessions.start()
    return front
  } catch (error) {
    await sessions.close()
    throw error
  }
}

/** Resolves once it is in the log, or has gone to whoever takes it where no stream does. */
function publishOf(
  ingress: Ingress,
  sessions: Sessions,
  now: () => number,
  fields: Omit<Message, 'place' | 'timestamp'>,
): Promise<void> {
  const { topic, payload, isRetained, properties, clientId } = fields
  const headers = messageHeaders(isRetained, fields.qos, properties)
  // of QoS 1, whatever its own is: so its place is known
  const incoming = { clientId, topic, payload, qos: 1, packetId: 0, isDup: false, headers } as const
  return new Promise((resolve, reject) => {
    ingress.accept(incoming, (error, place) => {
      const message: Message = { ...fields, timestamp: now(), place }
      if (error !== null) reject(error)
      else if (place === null) sessions.storeInline(message).then(resolve, reject)
      else {
        // at once: positions that are written later must cover it
        sessions.onCommitted(message)
        resolve()
      }
    })
  })
}
