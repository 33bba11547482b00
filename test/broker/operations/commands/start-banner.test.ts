import { expect, it } from 'vitest'
import { defaultConfig } from '../../../../broker/config/load.ts'
import { bannerLines } from '../../../../broker/operations/commands/start-banner.ts'
import { Output } from '../../../../broker/operations/terminal/output.ts'
import { FakeLog, fakeOperations } from '../fake-log.ts'

function banner(listeners: string[], needsLogin = false, config = defaultConfig('/data')): string[] {
  const stream = { isTTY: false, write: () => true, once() {} }
  const status = fakeOperations(new FakeLog({ events: 1 })).status()
  const parts = {
    config,
    file: null,
    status: { ...status, mqtt: { ...status.mqtt, listeners, needsLogin } },
    dashboard: null,
    demo: null,
    options: { program: 'headwater' },
  }
  return bannerLines(new Output(stream, {}), parts)
}

function publishLine(listeners: string[], needsLogin = false): string {
  const line = banner(listeners, needsLogin).find((text) => text.startsWith('publish'))!
  return line.replace(/^publish +npx mqtt pub /, '').replace('-q 1 -t plant/1/temperature -m 21.5', '...')
}

const SAME = '   (or mosquitto_pub, same options)'

it.each([
  [['127.0.0.1:1883'], `...${SAME}`],
  [['[::]:1884'], `-p 1884 ...${SAME}`],
  [['192.0.2.7:1883'], `-h 192.0.2.7 ...${SAME}`],
  [['[2001:db8::1]:1883'], `-h 2001:db8::1 ...${SAME}`],
  [['mqtts://0.0.0.0:8883', '127.0.0.1:1883'], `...${SAME}`],
  [['mqtts://192.0.2.7:8883'], '-C mqtts -h 192.0.2.7 -p 8883 --ca CA.crt ...'],
  [['wss://0.0.0.0:8443/mqtt'], '-C wss -p 8443 --ca CA.crt ...'],
])('what reaches a broker on %j is: %s', (listeners, options) => {
  expect(publishLine(listeners)).toBe(options)
})

it('with users it says who', () => {
  expect(publishLine(['127.0.0.1:1883'], true)).toBe(`-u USER -P PASSWORD ...${SAME}`)
})

it('of hundreds of streams it names the first, and how many there are more', () => {
  const config = defaultConfig('/data')
  const named = (name: string) => ({ ...config.streams[0]!, name, topics: [`${name}/#`], partitions: 1 })
  const streams = Array.from({ length: 1_000 }, (_, index) => named(`s-${index}`))
  const lines = banner(['127.0.0.1:1883'], false, { ...config, streams })
  const from = lines.findIndex((line) => line.startsWith('streams'))
  expect(lines[from]).toBe('streams   s-0 <- s-0/# (1 partition)')
  expect(lines[from + 19]).toBe('          s-19 <- s-19/# (1 partition)')
  expect(lines[from + 20]).toBe('          980 more')
  expect(lines[from + 21]).toMatch(/^upstreams /)
})
