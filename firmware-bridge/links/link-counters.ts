import type { LinkCounters } from './link.ts'

export function newLinkCounters(): LinkCounters {
  return { framesReceived: 0, framesSent: 0, bytesReceived: 0, bytesSent: 0, dropped: new Map() }
}

/** One more that was dropped for this reason. */
export function count({ dropped }: LinkCounters, reason: string): void {
  dropped.set(reason, (dropped.get(reason) ?? 0) + 1)
}
