/** Where the dashboard and the API are, and what is said where that would not be safe. */
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { isLoopback, parseListenAddress } from '../../../broker/config/address.ts'
import { loadConfig } from '../../../broker/config/load.ts'
import { directoryName, loaded, problems } from './support.ts'

const TOKEN_WAY =
  'write a token into a file (`openssl rand -hex 16`) and name it in http.tokenFile, or listen on 127.0.0.1'

test.each([
  [
    'http: { address: 0.0.0.0:9180 }\n',
    `1:18: http.address 0.0.0.0:9180 is reached from other machines, and there is no http.tokenFile - ${TOKEN_WAY}`,
  ],
  [
    'http: { address: "9180" }\n',
    `1:18: http.address *:9180 is reached from other machines, and there is no http.tokenFile - ${TOKEN_WAY}`,
  ],
  [
    'http: { address: 192.0.2.7 }\n',
    '1:18: "192.0.2.7" is no address to listen on: the port is missing - write host:port, [IPv6]:port, a port alone, or null for none',
  ],
  [
    'http: { address: 127.0.0.1:1883 }\n',
    '1:18: 127.0.0.1:1883 is listened on twice (mqtt.listeners[0] is the same) - give one of them another port',
  ],
  [
    'http: { address: 9180 }\n',
    '1:18: http.address is 9180 - it is host:port, [IPv6]:port, a port in quotes, or null',
  ],
  [
    'http: { allowedHosts: ["http://edge"] }\n',
    '1:24: http.allowedHosts[0] is "http://edge" - it is a host name without a port',
  ],
  ['http: { tokenfile: x }\n', '1:9: unknown key "tokenfile" in http - did you mean "tokenFile"?'],
])('%j', (text, line) => {
  expect(problems(text)).toEqual([line])
})

test('null is none; a token file is relative to the file that names it', () => {
  expect(loaded('http: { address: null }\n').config.http.address).toBeNull()
  const { http } = loaded('http: { address: "[::]:9180", tokenFile: token }\n').config
  expect(http).toEqual({ address: '[::]:9180', tokenFile: join(directoryName, 'token'), allowedHosts: [] })
})

test('names without a token are told: requests of a proxy would not be answered', () => {
  const { warnings } = loaded('http: { allowedHosts: [edge] }\n')
  expect(warnings).toEqual([
    expect.stringContaining(
      ':1:23: without http.tokenFile only this machine is answered, and no request that a proxy forwards',
    ),
  ])
  expect(loaded('http: { allowedHosts: [edge], tokenFile: x }\n').warnings).toEqual([])
})

test('the environment gives an address, or none, and it is known whether anybody did', () => {
  const fromEnvironment = (value: string | undefined) => {
    const env = value === undefined ? {} : { HEADWATER_HTTP_ADDRESS: value }
    const result = loadConfig({ file: '', env })
    if (!result.ok) throw result.problems[0]
    return [result.config.http.address, result.isGiven(['http', 'address'])]
  }
  expect(fromEnvironment('127.0.0.1:9000')).toEqual(['127.0.0.1:9000', true])
  expect(fromEnvironment('null')).toEqual([null, true])
  expect(fromEnvironment(undefined)).toEqual(['127.0.0.1:9180', false])
  expect(loaded('http:\n  address: 127.0.0.1:9180\n').isGiven(['http', 'address'])).toBe(true)
})

test.each([
  ['127.0.0.1:1', true],
  ['127.8.8.8:1', true],
  ['localhost:1', true],
  ['[::1]:1', true],
  ['1', false],
  ['0.0.0.0:1', false],
  ['[::]:1', false],
  ['192.168.1.5:1', false],
  ['127.example.org:1', false],
])('%s is reached from this machine alone: %s', (text, expected) => {
  const address = parseListenAddress(text)
  if (typeof address === 'string') throw new Error(address)
  expect(isLoopback(address)).toBe(expected)
})
