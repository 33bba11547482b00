/** What `headwater status` says of room, of certificates and of refusals. */
import type { BrokerStatus } from '../operations.ts'
import { printable } from '../terminal/printable.ts'
import { bytes, count, localTime, plural } from '../terminal/units.ts'

export function spaceText({
  usedBytes,
  bytesMax,
  freeBytes,
  reserveBytes,
}: Pick<BrokerStatus['log']['space'], 'usedBytes' | 'bytesMax' | 'freeBytes' | 'reserveBytes'>): string {
  const used = bytesMax === null ? bytes(usedBytes) : `${bytes(usedBytes)} of ${bytes(bytesMax)}`
  if (freeBytes === null) return `${used} used`
  if (freeBytes <= reserveBytes) {
    return `${used} used; ${bytes(freeBytes)} free, all of it in reserve (${bytes(reserveBytes)})`
  }
  return `${used} used; ${bytes(freeBytes)} free, ${bytes(reserveBytes)} of them in reserve`
}

/** Of one listener; what is wrong with it is an alarm besides. */
export function certificateText(tls: BrokerStatus['mqtt']['tls'][number]): string {
  const { listener, certificate, clientAuthority, fault } = tls
  const parts = [
    `of ${printable(listener)} good until ${localTime(certificate.until)}`,
    ...(clientAuthority === null ? [] : [`authority of clients until ${localTime(clientAuthority.until)}`]),
    ...(fault === null ? [] : ['what its files have now cannot be used']),
  ]
  return parts.join('; ')
}

/** Messages first, then connections; empty where nothing was refused. */
export function refusedText(
  traffic: Pick<
    BrokerStatus['mqtt']['traffic'],
    'refused' | 'refusedLogins' | 'refusedMessages' | 'fullMessages' | 'dropped'
  >,
  ingress: Pick<BrokerStatus['ingress'], 'tooLarge' | 'failed' | 'deadLetters'>,
): string {
  const { refused, refusedLogins, fullMessages, dropped } = traffic
  const byRule = traffic.refusedMessages - fullMessages
  const parts: string[] = []
  if (byRule > 0) parts.push(`${plural(byRule, 'message')} by a permission or a limit`)
  if (fullMessages > 0) parts.push(`${plural(fullMessages, 'message')} for want of room`)
  if (ingress.tooLarge > 0) parts.push(`${count(ingress.tooLarge)} over limits.recordBytesMax`)
  if (ingress.failed > 0) parts.push(`${count(ingress.failed)} not acknowledged because a commit failed`)
  if (ingress.deadLetters > 0) parts.push(`${count(ingress.deadLetters)} in the stream dead-letters`)
  if (refused > 0) {
    const logins = refusedLogins > 0 ? `, ${count(refusedLogins)} of them for their login` : ''
    parts.push(`${plural(refused, 'connection')}${logins}`)
  }
  if (dropped > 0) parts.push(`${plural(dropped, 'connection')} ended for a fault`)
  return parts.join('; ')
}
