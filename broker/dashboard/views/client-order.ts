/** Which clients are shown, and in which order. */
import type { ClientStatus } from '../api/types.ts'

export type ClientColumn = keyof Pick<
  ClientStatus,
  | 'clientId'
  | 'user'
  | 'address'
  | 'version'
  | 'since'
  | 'lastSeenAt'
  | 'messagesIn'
  | 'messagesOut'
  | 'bytesIn'
  | 'bytesOut'
  | 'queued'
>

export interface Sorting {
  readonly column: ClientColumn
  readonly isDescending: boolean
}

/** A time is shown as an age: the largest age is the smallest time. */
const SHOWN_AS_AGE: readonly ClientColumn[] = ['since', 'lastSeenAt']

/** @param filter part of the client id, the user or the address; letter case does not matter */
export function matchingClients(
  clients: readonly ClientStatus[],
  filter: string,
  { column, isDescending }: Sorting,
): ClientStatus[] {
  const part = filter.trim().toLowerCase()
  const sign = isDescending !== SHOWN_AS_AGE.includes(column) ? -1 : 1
  return clients
    .filter(({ clientId, user, address }) =>
      [clientId, user ?? '', address].some((text) => text.toLowerCase().includes(part)),
    )
    .sort((a, b) => sign * compare(a[column], b[column]) || compare(a.clientId, b.clientId))
}

function compare(a: string | number | null, b: string | number | null): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b
  const [left, right] = [String(a ?? ''), String(b ?? '')]
  return left.localeCompare(right, 'en', { numeric: true })
}
