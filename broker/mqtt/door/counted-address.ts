/**
 * What an address is worth: as what it counts against limits by address. A provider gives a customer 2^64 IPv6 addresses (a /64, RFC 6177) and a host takes new ones by
 * itself (RFC 8981): who is counted is the /64. An IPv4 address in IPv6 clothes (`::ffff:192.0.2.7`, as a socket for both gives it) is the IPv4 address.
 */
import { isIPv6 } from 'node:net'

const GROUPS = 8
const NETWORK_GROUPS = 4

/** @param address as a socket gives it @returns `192.0.2.7`, or `2001:db8:0:7::/64`, with the zone of a link-local one */
export function countedAddress(address: string): string {
  if (!isIPv6(address)) return address
  const [bare, zone] = address.split('%', 2) as [string, string?]
  const groups = groupsOf(bare)
  const isMapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff
  if (isMapped) return [groups[6]! >> 8, groups[6]! & 0xff, groups[7]! >> 8, groups[7]! & 0xff].join('.')
  const network = groups.slice(0, NETWORK_GROUPS).map((group) => group.toString(16))
  return `${network.join(':')}::/64${zone === undefined ? '' : `%${zone}`}`
}

/** RFC 4291, section 2.2. @param address one that is valid */
function groupsOf(address: string): number[] {
  const [front, back] = address.split('::', 2) as [string, string?]
  const before = sixteenBits(front)
  if (back === undefined) return before
  const after = sixteenBits(back)
  const zeros = GROUPS - before.length - after.length
  return [...before, ...new Array<number>(zeros).fill(0), ...after]
}

function sixteenBits(text: string): number[] {
  if (text === '') return []
  return text.split(':').flatMap((part) => {
    if (!part.includes('.')) return [Number.parseInt(part, 16)]
    const [a, b, c, d] = part.split('.').map(Number) as [number, number, number, number]
    return [a * 256 + b, c * 256 + d]
  })
}

/** An address of this machine, as a socket gives it. */
export function isLocal(address: string): boolean {
  const bare = address.startsWith('::ffff:') ? address.slice(7) : address
  return bare.startsWith('127.') || bare === '::1'
}
