/** `192.0.2.7:1884`, `[2001:db8::7]:1884`: how a UDP peer or socket is written, and what it means. */
import { BlockList, isIP } from 'node:net'

export interface UdpAddress {
  readonly address: string
  readonly port: number
}

/** @returns null when it is not written so */
export function parseUdpAddress(text: string): UdpAddress | null {
  const colon = text.lastIndexOf(':')
  const digits = text.slice(colon + 1)
  const isBracketed = text.startsWith('[') && text[colon - 1] === ']'
  const address = isBracketed ? text.slice(1, colon - 1) : text.slice(0, colon)
  const port = /^[0-9]{1,5}$/.test(digits) ? Number(digits) : Number.NaN
  if (colon < 0 || !(port <= 65_535) || isIP(address) !== (isBracketed ? 6 : 4)) return null
  return { address, port }
}

export function formatUdpAddress({ address, port }: UdpAddress): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}

/** @returns null for what is neither an address nor a network */
export function networkList(entries: readonly string[]): BlockList | null {
  const list = new BlockList()
  for (const entry of entries) {
    const [address = '', bits] = entry.split('/')
    const version = isIP(address)
    const prefix = bits === undefined ? (version === 4 ? 32 : 128) : Number(bits)
    if (version === 0 || !(prefix <= (version === 4 ? 32 : 128))) return null
    list.addSubnet(address, prefix, version === 4 ? 'ipv4' : 'ipv6')
  }
  return list
}
