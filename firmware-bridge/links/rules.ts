/** What the schema of a UDP link cannot say. */
import type { EntryFault } from '../config/entry-fault.ts'
import type { UdpLinkConfig } from './config.ts'
import { networkList, parseUdpAddress } from './udp-address.ts'

export function udpLinkFaults({ address, allow, multicast }: UdpLinkConfig): EntryFault[] {
  const faults: EntryFault[] = []
  const add = (path: readonly (string | number)[], message: string, hint: string) =>
    faults.push({ path, message, hint })
  const own = parseUdpAddress(address)
  if (own === null)
    add(['address'], `"${address}" is no address and port`, 'write it as 127.0.0.1:1884 or [::1]:1884')
  for (const [index, entry] of allow.entries()) {
    if (networkList([entry]) === null) {
      add(
        ['allow', index],
        `"${entry}" is neither an address nor a network`,
        'write it as 192.0.2.7 or 192.0.2.0/24',
      )
    }
  }
  if (multicast === undefined) return faults
  const group = parseUdpAddress(multicast)
  if (group === null)
    add(['multicast'], `"${multicast}" is no address and port`, 'write it as 225.1.1.1:1883')
  else if (own !== null && group.address.includes(':') !== own.address.includes(':')) {
    add(
      ['multicast'],
      'the multicast group is of another kind than address',
      'let both be IPv4, or both IPv6',
    )
  }
  return faults
}
