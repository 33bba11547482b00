import { describe, expect, it } from 'vitest'
import { formatUdpAddress, networkList, parseUdpAddress } from '../../../firmware-bridge/links/udp-address.ts'

describe('a UDP address', () => {
  it.each([
    ['127.0.0.1:1884', '127.0.0.1', 1884],
    ['[::1]:0', '::1', 0],
    ['[fe80::1%eth0]:65535', 'fe80::1%eth0', 65_535],
  ])('%s is read and written', (text, address, port) => {
    expect(parseUdpAddress(text)).toEqual({ address, port })
    expect(formatUdpAddress({ address, port })).toBe(text)
  })

  it.each([
    '',
    '127.0.0.1',
    '127.0.0.1:',
    '127.0.0.1:65536',
    '::1:1884',
    '[127.0.0.1]:1884',
    'host:1884',
    '[::1]',
    '1884',
  ])('%s is none', (text) => {
    expect(parseUdpAddress(text)).toBeNull()
  })
})

describe('a list of networks', () => {
  it('has addresses and networks of both kinds', () => {
    const list = networkList(['192.0.2.0/24', '198.51.100.7', '2001:db8::/32'])!
    expect(list.check('192.0.2.200')).toBe(true)
    expect(list.check('192.0.3.1')).toBe(false)
    expect(list.check('198.51.100.7')).toBe(true)
    expect(list.check('198.51.100.8')).toBe(false)
    expect(list.check('2001:db8:1::5', 'ipv6')).toBe(true)
    expect(list.check('2001:db9::5', 'ipv6')).toBe(false)
  })

  it.each(['192.0.2.0/33', '2001:db8::/129', 'host', '192.0.2', '/8'])('does not take %s', (entry) => {
    expect(networkList([entry])).toBeNull()
  })
})
