import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import type { LineLinkConfig } from '../../../firmware-bridge/lines/config.ts'
import { LineLink } from '../../../firmware-bridge/lines/line-link.ts'
import { systemSerialHost } from '../../../firmware-bridge/links/serial-line.ts'
import { Outbox } from '../../../firmware-bridge/outlet/outbox.ts'
import type { PublishResult } from '../../../firmware-bridge/uplink/uplink.ts'
import { noPtys, Pty } from '../../support/pty.ts'
import { serialConfig } from '../links/config.ts'
import { FakePorts } from '../links/fake-port.ts'
import { FakeUplink } from '../outlet/fake-uplink.ts'
import { eventually, hastyClock, RecordingLog } from '../support.ts'

function lineConfig(port: string, more: Partial<LineLinkConfig> = {}): LineLinkConfig {
  const { messageBytesMax: _, retryMs: __, protocol: ___, ...serial } = serialConfig(port)
  return {
    ...serial,
    protocol: 'line',
    format: 'key-value',
    topic: 'plant/%p',
    encoding: 'utf8',
    lineBytesMax: 200,
    whenFull: 'drop-oldest',
    queueMessagesMax: 1000,
    queueBytesMax: 1_000_000,
    ...more,
  }
}

const links: LineLink[] = []

afterEach(async () => {
  for (const link of links.splice(0)) await link.stop()
})

function makeLink(config: LineLinkConfig, ports?: FakePorts) {
  const log = new RecordingLog()
  const uplink = new FakeUplink()
  const serial = systemSerialHost(hastyClock, log)
  const host = {
    ...serial,
    ...(ports === undefined ? {} : { openPort: ports.open }),
    isClockTrusted: () => true,
  }
  const outbox = new Outbox('bridge-x', config, { uplink, clock: hastyClock, log, random: () => 0 })
  const link = new LineLink(config, host, outbox)
  links.push(link)
  return { link, log, uplink }
}

describe('a link of lines', () => {
  it('tells a malformed line once, as it can be printed, and counts all', async () => {
    const ports = new FakePorts()
    const { link, log, uplink } = makeLink(lineConfig('/dev/uno'), ports)
    await link.start()
    const read = (text: string) => ports.last.listener.onData(Buffer.from(text))
    read('half\nt=1\nError: \x1b[31msensor\n')
    for (let i = 0; i < 5; i++) read('t=2\nError again\n')
    read(`t=3\n${'x'.repeat(300)}\n`)
    await eventually(() => expect(uplink.published.length).toBe(7))
    expect(Object.fromEntries(link.counters.dropped)).toEqual({ truncated: 1, 'no-values': 6, oversize: 1 })
    expect(link.counters.framesReceived).toBe(14)
    expect(log.matching('a line is not used').map(({ message }) => message)).toEqual([
      'serial port /dev/uno: a line is not used (no-values): "Error: \\x1b[31msensor"; let the device print name=value pairs ' +
        'with spaces between, or set another format',
      'serial port /dev/uno: a line is not used (oversize); let the device print shorter lines, or raise lineBytesMax (200)',
    ])
  })

  it('says where the baud rate may be wrong', async () => {
    const ports = new FakePorts()
    const { link, log } = makeLink(lineConfig('/dev/uno', { baudRate: 9600 }), ports)
    await link.start()
    for (let i = 0; i < 100; i++) ports.last.listener.onData(Buffer.from('\xfe\x80\xf8\x00\xff\n', 'latin1'))
    expect(log.matching('baud rate mismatch?').length).toBe(1)
    expect(link.trouble).toContain('gives hardly a line of key-value at 9600 baud')
    for (let i = 0; i < 40; i++) ports.last.listener.onData(Buffer.from('t=1\n'))
    expect(link.trouble).toBeNull()
  })

  it('stops reading when it is told to and its queue is full, and goes on at half', async () => {
    const ports = new FakePorts()
    const { link, uplink } = makeLink(
      lineConfig('/dev/uno', { whenFull: 'pause', queueMessagesMax: 10 }),
      ports,
    )
    const answers: ((result: PublishResult) => void)[] = []
    uplink.answer = () => new Promise((resolve) => answers.push(resolve))
    await link.start()
    ports.last.listener.onData(Buffer.from('half\n'))
    for (let i = 0; i < 9; i++) ports.last.listener.onData(Buffer.from(`t=${i}\n`))
    expect(ports.last.isPaused).toBe(false)
    ports.last.listener.onData(Buffer.from('t=9\n'))
    expect(ports.last.isPaused).toBe(true)
    await eventually(() => expect(answers.length).toBe(8))
    for (const answer of answers.splice(0, 5)) answer({ kind: 'accepted' })
    await eventually(() => expect(ports.last.isPaused).toBe(false))
    expect(link.outbox.counters.dropped).toBe(0)
    uplink.answer = () => ({ kind: 'accepted' })
    for (const answer of answers.splice(0)) answer({ kind: 'accepted' })
  })
})

describe.skipIf(noPtys !== null)('a sketch that prints lines', () => {
  it('is read from its port into topics, also after it was plugged in again', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'headwater-lines-'))
    const path = join(directory, 'uno')
    try {
      const first = await Pty.plugIn(path)
      const { link, uplink } = makeLink(lineConfig(path, { format: 'plotter', topic: 'plant/%p/%k' }))
      await link.start()
      first.write(Buffer.from('1\r\ntemperature:21.5 humid'))
      first.write(Buffer.from('ity:40\r\n'))
      await eventually(() => expect(uplink.published.length).toBe(2))
      first.write(Buffer.from('temperature:2'))
      await eventually(() => expect(link.counters.bytesReceived).toBe(46))
      await first.unplug()
      await eventually(() => expect(link.trouble).not.toBeNull())
      const second = await Pty.plugIn(path)
      await eventually(() => expect(link.trouble).toBeNull())
      second.write(Buffer.from('ature:99\r\ntemperature:22\r\n'))
      await eventually(() => expect(uplink.texts.length).toBe(3))
      expect(uplink.texts).toEqual([
        ['plant/uno/temperature', '21.5'],
        ['plant/uno/humidity', '40'],
        ['plant/uno/temperature', '22'],
      ])
      expect(uplink.published[0]!.properties).toMatchObject({
        'bridge.clock': 'trusted',
        'bridge.link': `serial ${path}`,
        'bridge.device': 'uno',
        'bridge.arrival-time': expect.stringMatching(/^[0-9]{13}$/),
      })
      expect(link.counters.dropped.get('truncated')).toBe(3)
      await link.stop()
      await second.unplug()
    } finally {
      rmSync(directory, { recursive: true })
    }
  })
})
