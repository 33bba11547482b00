/** In which order clients are listed. Pure. */
import type { ClientStatus } from '../../mqtt/connection/client-status.ts'

type Compare = (one: ClientStatus, other: ClientStatus) => number

/** Largest first, but for names. */
const ORDERS = {
  id: () => 0,
  user: (one, other) => byText(one.user ?? '', other.user ?? ''),
  since: (one, other) => one.since - other.since,
  seen: (one, other) => other.lastSeenAt - one.lastSeenAt,
  in: (one, other) => other.messagesIn - one.messagesIn,
  out: (one, other) => other.messagesOut - one.messagesOut,
  bytes: (one, other) => other.bytesIn + other.bytesOut - (one.bytesIn + one.bytesOut),
  queued: (one, other) => other.queued - one.queued,
} as const satisfies Readonly<Record<string, Compare>>

export type ClientOrder = keyof typeof ORDERS
export const CLIENT_ORDERS = Object.keys(ORDERS) as ClientOrder[]

/** Of equal ones the first by client id goes first. */
export function sortClients(clients: readonly ClientStatus[], order: ClientOrder): ClientStatus[] {
  return clients.toSorted((one, other) => ORDERS[order](one, other) || byText(one.clientId, other.clientId))
}

/** As sort(1) has it in the C locale: the same on every machine. */
function byText(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0
}
