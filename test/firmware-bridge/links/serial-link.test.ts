import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { SerialLinkConfig } from '../../../firmware-bridge/links/config.ts'
import { systemSerialHost } from '../../../firmware-bridge/links/serial-line.ts'
import { SerialLink } from '../../../firmware-bridge/links/serial-link.ts'
import { noPtys, Pty } from '../../support/pty.ts'
import { seededRandom, testSeed } from '../../support/random.ts'
import { framed } from '../framing/collected.ts'
import { eventually, hastyClock, RecordingLog } from '../support.ts'
import { serialConfig } from './config.ts'

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')
const PINGREQ = hex('02 16')
const PINGRESP = hex('02 17')
/** The end of what a port wrote: what came before may be from an earlier opening. */
const framedPingresp = framed(PINGRESP)

let directory: string
let log: RecordingLog
const plugged: Pty[] = []
const opened: SerialLink[] = []
const processes: ChildProcess[] = []

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'headwater-serial-'))
  log = new RecordingLog()
})

afterEach(async () => {
  for (const link of opened.splice(0)) await link.close()
  for (const pty of plugged.splice(0)) await pty.unplug()
  for (const child of processes.splice(0)) child.kill('SIGKILL')
  rmSync(directory, { recursive: true })
})

const portPath = (name = 'port') => join(directory, name)

async function plugIn(name = 'port'): Promise<Pty> {
  const pty = await Pty.plugIn(portPath(name))
  plugged.push(pty)
  return pty
}

async function openLink(more: Partial<SerialLinkConfig> = {}, name = 'port') {
  const messages: Buffer[] = []
  const gone: string[] = []
  const link = new SerialLink(serialConfig(portPath(name), more), systemSerialHost(hastyClock, log))
  opened.push(link)
  await link.open({
    onMessage: (_peer, bytes) => messages.push(Buffer.from(bytes)),
    onGone: (_peer, reason) => gone.push(reason),
  })
  return { link, messages, gone }
}

describe.skipIf(noPtys !== null)('a serial link', () => {
  it('carries messages both ways, however the device splits them', async () => {
    const pty = await plugIn()
    const { link, messages } = await openLink()
    expect(link.trouble).toBeNull()
    const wire = framed(PINGREQ, hex('03 16 41'))
    for (const byte of wire) pty.write(Uint8Array.of(byte))
    await eventually(() => expect(messages).toEqual([PINGREQ, hex('03 16 41')]))
    expect(link.send('', PINGRESP)).toBe(true)
    await eventually(() => expect(pty.received).toEqual(framedPingresp))
    expect(link.counters).toMatchObject({
      framesReceived: 2,
      framesSent: 1,
      bytesReceived: wire.length,
      bytesSent: framedPingresp.length,
    })
    expect([...link.counters.dropped]).toEqual([])
  })

  it('waits for a port that is not there, says so once, and opens it when it is', async () => {
    const { link, messages } = await openLink()
    expect(link.trouble).toContain(`${portPath()} is not there: plug it in`)
    expect(link.send('', PINGRESP)).toBe(false)
    const pty = await plugIn()
    await eventually(() => expect(link.trouble).toBeNull())
    pty.write(framed(PINGREQ))
    await eventually(() => expect(messages).toEqual([PINGREQ]))
    expect(log.matching('is not there').length).toBe(1)
    expect(log.matching('is open at 115200 baud after').length).toBe(1)
    expect(link.counters.dropped.get('port-closed')).toBe(1)
  })

  it('tells when the port is unplugged and takes it up again when it is back', async () => {
    const first = await plugIn()
    const { link, messages, gone } = await openLink()
    // the beginning of a frame is not the beginning of the next device's
    first.write(framed(PINGREQ).subarray(0, 4))
    await eventually(() => expect(link.counters.bytesReceived).toBe(4))
    await first.unplug()
    await eventually(() => expect(gone.length).toBe(1))
    expect(link.trouble).not.toBeNull()
    expect(link.send('', PINGRESP)).toBe(false)
    expect(link.counters.dropped.get('truncated')).toBe(1)
    const second = await plugIn()
    await eventually(() => expect(link.trouble).toBeNull())
    second.write(framed(PINGREQ))
    await eventually(() => expect(messages).toEqual([PINGREQ]))
    expect(link.send('', PINGRESP)).toBe(true)
    await eventually(() => expect(second.received).toEqual(framedPingresp))
    expect(gone.length).toBe(1)
  })

  it('does not share its port: the second link of this bridge is told, and gets it when the first closes', async () => {
    const pty = await plugIn()
    const first = await openLink()
    const second = await openLink()
    expect(second.link.trouble).toContain('is used by another link of this bridge: stop it')
    pty.write(framed(PINGREQ))
    await eventually(() => expect(first.messages.length).toBe(1))
    expect(second.messages).toEqual([])
    await first.link.close()
    await eventually(() => expect(second.link.trouble).toBeNull())
    pty.write(framed(PINGREQ))
    await eventually(() => expect(second.messages.length).toBe(1))
  })

  it('names the process that has its port', async () => {
    await plugIn()
    const script = `
      const { SerialPort } = require('serialport')
      new SerialPort({ path: process.argv[1], baudRate: 9600 }, () => console.log('open'))
      setInterval(() => {}, 1000)`
    const holder = spawn(process.execPath, ['-e', script, portPath()], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    processes.push(holder)
    await once(holder.stdout!, 'data')
    const { link } = await openLink()
    expect(link.trouble).toContain(`is used by process ${holder.pid} (`)
    holder.kill('SIGKILL')
    await eventually(() => expect(link.trouble).toBeNull())
  })

  it('says that what is named is no serial port', async () => {
    writeFileSync(portPath(), '')
    const { link } = await openLink()
    expect(link.trouble).toContain('does not work: it is no serial port')
  })

  it('tells garbage as what it probably is, once, with the rate and the way out', async () => {
    const random = seededRandom(testSeed())
    const pty = await plugIn()
    const { link, messages } = await openLink({ baudRate: 9600 })
    for (let i = 0; i < 40; i++) pty.write(Uint8Array.from({ length: 500 }, () => random.between(0, 255)))
    await eventually(() => expect(link.counters.bytesReceived).toBe(20_000))
    expect(log.matching('baud rate mismatch?').map(({ message }) => message)).toEqual([
      expect.stringMatching(/garbage at 9600 baud: baud rate mismatch\? Set baudRate to/),
    ])
    expect(link.trouble).toContain('baud rate mismatch?')
    const before = messages.length
    pty.write(Buffer.concat([framed(), ...Array.from({ length: 100 }, () => framed(PINGREQ))]))
    await eventually(() => expect(messages.length).toBe(before + 100))
    expect(link.trouble).toBeNull()
    expect(log.matching('most frames are good again').length).toBe(1)
  })

  it('opens a port that has no DTR though a reset is wanted', async () => {
    const pty = await plugIn()
    const { link, messages } = await openLink({ resetOnOpen: true, rtscts: true })
    expect(link.trouble).toBeNull()
    pty.write(framed(PINGREQ))
    await eventually(() => expect(messages).toEqual([PINGREQ]))
  })

  it('is one of several at once', async () => {
    const ptys = [await plugIn('a'), await plugIn('b'), await plugIn('c')]
    const links = await Promise.all(['a', 'b', 'c'].map((name) => openLink({}, name)))
    for (const [i, pty] of ptys.entries()) pty.write(framed(Buffer.from([3, 0x16, i])))
    await eventually(() => {
      expect(links.map(({ messages }) => messages)).toEqual([0, 1, 2].map((i) => [Buffer.from([3, 0x16, i])]))
    })
    await ptys[1]!.unplug()
    await eventually(() => expect(links[1]!.gone.length).toBe(1))
    expect(links.map(({ link }) => link.trouble === null)).toEqual([true, false, true])
  })

  it('can be closed at any time, and again', async () => {
    await plugIn()
    const { link } = await openLink()
    await link.close()
    await link.close()
    const waiting = await openLink({}, 'nothing')
    await waiting.link.close()
    expect(waiting.link.trouble).toBe('it is closed')
  })
})
