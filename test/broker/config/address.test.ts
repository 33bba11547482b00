import { expect, test } from 'vitest'
import { formatListenAddress, parseListenAddress } from '../../../broker/config/address.ts'

test.each([
  ['127.0.0.1:1883', { host: '127.0.0.1', port: 1883 }, '127.0.0.1:1883'],
  ['localhost:0', { host: 'localhost', port: 0 }, 'localhost:0'],
  ['[::1]:1883', { host: '::1', port: 1883 }, '[::1]:1883'],
  ['[fe80::1%eth0]:1883', { host: 'fe80::1%eth0', port: 1883 }, '[fe80::1%eth0]:1883'],
  ['1883', { host: null, port: 1883 }, '*:1883'],
  ['*:1883', { host: null, port: 1883 }, '*:1883'],
])('%s is an address', (text, address, shown) => {
  expect(parseListenAddress(text)).toEqual(address)
  expect(formatListenAddress(address)).toBe(shown)
})

test.each([
  '',
  'host',
  'host:',
  ':1883',
  '::1:1883',
  '[::1]',
  '[host]:1',
  'a b:1',
  'mqtt://a:1',
  'a:65536',
  '65536',
  'a:1x',
])('%j is none', (text) => {
  expect(parseListenAddress(text)).toBeTypeOf('string')
})
