import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { networkInterfaces } from 'node:os'
import { afterEach, describe, expect, it } from 'vitest'
import type { UdpLinkConfig } from '../../../firmware-bridge/links/config.ts'
import { UdpLink } from '../../../firmware-bridge/links/udp-link.ts'
import { eventually, hastyClock, RecordingLog } from '../support.ts'
import { udpConfig } from './config.ts'

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')
const PINGREQ = hex('02 16')
const PINGRESP = hex('02 17')
const hasIpv6 = Object.values(networkInterfaces()).some((each) =>
  each?.some(({ family }) => family === 'IPv6'),
)

const links: UdpLink[] = []
const sockets: Socket[] = []

afterEach(async () => {
  for (const link of links.splice(0)) await link.close()
  for (const socket of sockets.splice(0)) socket.close()
})

function makeLink(address: string, more: Partial<UdpLinkConfig> = {}) {
  const log = new RecordingLog()
  const messages: [peer: string, message: Buffer][] = []
  const link = new UdpLink(udpConfig(address, more), { clock: hastyClock, log, random: Math.random })
  links.push(link)
  const listener = {
    onMessage: (peer: string, bytes: Uint8Array) => messages.push([peer, Buffer.from(bytes)]),
    onGone: () => {},
  }
  return { link, log, messages, listener }
}

async function openLink(address: string, more: Partial<UdpLinkConfig> = {}) {
  const made = makeLink(address, more)
  await made.link.open(made.listener)
  return { ...made, port: made.link.boundTo!.port }
}

async function device(type: 'udp4' | 'udp6' = 'udp4') {
  const socket = createSocket(type)
  sockets.push(socket)
  const received: Buffer[] = []
  socket.on('message', (bytes) => received.push(bytes))
  socket.bind(0, type === 'udp4' ? '127.0.0.1' : '::1')
  await once(socket, 'listening')
  const { address, port } = socket.address()
  return { socket, received, peer: type === 'udp4' ? `${address}:${port}` : `[${address}]:${port}` }
}

describe('a UDP link', () => {
  it('carries messages of several peers, each named by its address and port', async () => {
    const { link, messages, port } = await openLink('127.0.0.1:0')
    const [one, two] = [await device(), await device()]
    one.socket.send(PINGREQ, port, '127.0.0.1')
    await eventually(() => expect(messages.length).toBe(1))
    two.socket.send(hex('03 16 41'), port, '127.0.0.1')
    await eventually(() =>
      expect(messages).toEqual([
        [one.peer, PINGREQ],
        [two.peer, hex('03 16 41')],
      ]),
    )
    expect(link.send(two.peer, PINGRESP)).toBe(true)
    await eventually(() => expect(two.received).toEqual([PINGRESP]))
    expect(one.received).toEqual([])
    expect(link.counters).toMatchObject({ framesReceived: 2, framesSent: 1, bytesReceived: 5, bytesSent: 2 })
  })

  it.skipIf(!hasIpv6)('does so over IPv6', async () => {
    const { link, messages, port } = await openLink('[::1]:0')
    const one = await device('udp6')
    one.socket.send(PINGREQ, port, '::1')
    await eventually(() => expect(messages).toEqual([[one.peer, PINGREQ]]))
    expect(one.peer).toMatch(/^\[::1\]:/)
    expect(link.send(one.peer, PINGRESP)).toBe(true)
    await eventually(() => expect(one.received).toEqual([PINGRESP]))
  })

  it('keeps the bytes of a message that is sent, whatever its caller does with them next', async () => {
    const { link } = await openLink('127.0.0.1:0')
    const one = await device()
    const reused = Buffer.from(PINGRESP)
    link.send(one.peer, reused)
    reused.fill(0)
    await eventually(() => expect(one.received).toEqual([PINGRESP]))
  })

  it.each([
    ['truncated', hex('')],
    ['truncated', hex('02')],
    ['truncated', hex('05 16')],
    ['truncated', hex('01 00 02')],
    ['length', hex('02 16 00')],
    ['length', hex('00 16')],
    ['oversize', Buffer.alloc(129, 129)],
  ])('drops a datagram that is no message and counts why: %s (%#)', async (reason, datagram) => {
    const { link, messages, port } = await openLink('127.0.0.1:0')
    const one = await device()
    one.socket.send(datagram, port, '127.0.0.1')
    await eventually(() => expect([...link.counters.dropped]).toEqual([[reason, 1]]))
    one.socket.send(PINGREQ, port, '127.0.0.1')
    await eventually(() => expect(messages).toEqual([[one.peer, PINGREQ]]))
  })

  it('takes datagrams only from whom it is allowed', async () => {
    const refusing = await openLink('127.0.0.1:0', { allow: ['192.0.2.0/24'] })
    const one = await device()
    one.socket.send(PINGREQ, refusing.port, '127.0.0.1')
    await eventually(() => expect([...refusing.link.counters.dropped]).toEqual([['unknown-peer', 1]]))
    expect(refusing.messages).toEqual([])
    const taking = await openLink('127.0.0.1:0', { allow: ['192.0.2.0/24', '127.0.0.0/8'] })
    one.socket.send(PINGREQ, taking.port, '127.0.0.1')
    await eventually(() => expect(taking.messages.length).toBe(1))
  })

  it('refuses a port that is taken, with the way out', async () => {
    const { port } = await openLink('127.0.0.1:0')
    const { link, listener } = makeLink(`127.0.0.1:${port}`)
    await expect(link.open(listener)).rejects.toMatchObject({
      code: 'HW_BRIDGE_UDP',
      message: `UDP 127.0.0.1:${port}: the port is in use`,
      hint: expect.stringContaining('ss -lunp'),
    })
  })

  it('waits for an address that this machine does not have yet, and says so once', async () => {
    // 192.0.2.0/24 is for documentation: no machine has it
    const { link, log, listener } = makeLink('192.0.2.1:0')
    await link.open(listener)
    expect(link.trouble).toMatch(/^192\.0\.2\.1:0: .*EADDRNOTAVAIL.*tried again by itself$/)
    expect(link.send('127.0.0.1:9', PINGRESP)).toBe(false)
    expect(link.counters.dropped.get('port-closed')).toBe(1)
    expect(log.lines.length).toBe(1)
    await link.close()
    expect(link.trouble).toBe('it is closed')
  })

  it('sends nothing that is too long, to nobody, or beyond what may wait', async () => {
    const { link } = await openLink('127.0.0.1:0', { sendBufferBytesMax: 4096 })
    const one = await device()
    expect(link.send(one.peer, Buffer.alloc(129))).toBe(false)
    expect(link.send('nobody', PINGRESP)).toBe(false)
    expect(link.broadcast(PINGRESP, 0)).toBe(false)
    expect(Object.fromEntries(link.counters.dropped)).toEqual({
      'too-long': 1,
      'unknown-peer': 1,
    })
    expect(link.counters.framesSent).toBe(0)
  })

  it('hears a multicast group and answers from its own address', async () => {
    const group = '239.255.77.77'
    const probe = await device()
    const groupPort = probe.socket.address().port + 1 > 65_535 ? 40_000 : probe.socket.address().port + 1
    const { link, messages, port } = await openLink('127.0.0.1:0', { multicast: `${group}:${groupPort}` })
    const one = await device()
    one.socket.setMulticastInterface('127.0.0.1')
    one.socket.send(hex('03 01 00'), groupPort, group)
    await eventually(() => expect(messages).toEqual([[one.peer, hex('03 01 00')]]))
    const from = once(one.socket, 'message')
    link.send(one.peer, hex('03 02 01'))
    const [, { port: answeredFrom }] = await from
    expect(answeredFrom).toBe(port)
  })

  it('makes itself known to its multicast group', async () => {
    const group = '239.255.77.78'
    const listening = createSocket({ type: 'udp4', reuseAddr: true })
    sockets.push(listening)
    listening.bind(0, group)
    await once(listening, 'listening')
    listening.addMembership(group, '127.0.0.1')
    const { link } = await openLink('127.0.0.1:0', { multicast: `${group}:${listening.address().port}` })
    const heard = once(listening, 'message')
    expect(link.broadcast(hex('05 00 01 03 84'), 0)).toBe(true)
    expect((await heard)[0]).toEqual(hex('05 00 01 03 84'))
  })

  it('does not join a group of the other kind of address', () => {
    expect(() => makeLink('[::1]:0', { multicast: '225.1.1.1:1883' })).toThrow('of the other kind')
  })
})
