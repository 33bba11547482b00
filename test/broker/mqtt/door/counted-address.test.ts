import { isIPv6 } from 'node:net'
import { expect, it } from 'vitest'
import { countedAddress, isLocal } from '../../../../broker/mqtt/door/counted-address.ts'
import { seededRandom, testSeed } from '../../../support/random.ts'

it.each([
  ['192.0.2.7', '192.0.2.7'],
  ['::ffff:192.0.2.7', '192.0.2.7'],
  ['::FFFF:192.0.2.7', '192.0.2.7'],
  ['::ffff:c000:207', '192.0.2.7'],
  ['0:0:0:0:0:ffff:192.0.2.7', '192.0.2.7'],
  ['2001:db8:0:7::1', '2001:db8:0:7::/64'],
  ['2001:DB8:0:7:ffff:ffff:ffff:ffff', '2001:db8:0:7::/64'],
  ['2001:db8::7:0:0:0:1', '2001:db8:0:7::/64'],
  ['2001:db8::', '2001:db8:0:0::/64'],
  ['::1', '0:0:0:0::/64'],
  ['::', '0:0:0:0::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64%eth0'],
  ['64:ff9b::192.0.2.7', '64:ff9b:0:0::/64'],
  // of a stream that is no socket
  ['', ''],
  ['somewhere', 'somewhere'],
])('%s counts as %s', (address, counted) => {
  expect(countedAddress(address)).toBe(counted)
})

it('is the same for all addresses of a network, and another for each network, however they are written', () => {
  const seed = testSeed()
  const random = seededRandom(seed)
  const group = () => (random.next() < 0.6 ? random.between(0, 0xffff) : 0)
  for (let n = 0; n < 2000; n++) {
    const network = [0x2001, group(), group(), group()]
    const write = (groups: number[]) => {
      const text = groups.map((value) => value.toString(16)).join(':')
      const short = text.replace(/(^|:)0(:0)*(:|$)/, '::')
      return isIPv6(short) ? [text, short] : [text]
    }
    const host = () => [group(), group(), group(), group()]
    const counted = `${network.map((value) => value.toString(16)).join(':')}::/64`
    for (const address of [...write([...network, ...host()]), ...write([...network, ...host()])]) {
      expect(countedAddress(address), `${address}, seed ${seed}`).toBe(counted)
    }
  }
})

it('addresses of this machine are those of its loopback', () => {
  for (const address of ['127.0.0.1', '127.1.2.3', '::1', '::ffff:127.0.0.1'])
    expect(isLocal(address)).toBe(true)
  for (const address of ['10.0.0.1', '::', '', '::ffff:10.0.0.1', '1127.0.0.1'])
    expect(isLocal(address)).toBe(false)
})
