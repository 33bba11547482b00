import { describe, expect, it } from 'vitest'
import { FrameScanner } from '../../../../broker/mqtt/packets/frame-scanner.ts'
import type { ProtocolVersion } from '../../../../broker/mqtt/packets/packet.ts'
import { PublishView, readPublish } from '../../../../broker/mqtt/packets/publish-view.ts'
import { bytes, decodeOf, frameOf, limits, packet, properties, refusal, refusalOf, text } from './support.ts'

const view = new PublishView()

/** What a view says of a PUBLISH. */
function read(version: ProtocolVersion, whole: Buffer) {
  readPublish(frameOf(whole), version, view)
  const { bytes, qos, isDup, isRetained, packetId, topicAlias } = view
  return {
    topic: bytes.toString('utf8', view.topicFrom, view.topicTo),
    payload: bytes.toString('utf8', view.payloadFrom, view.payloadTo),
    ...{ qos, isDup, isRetained, packetId, topicAlias },
    properties: view.messageProperties(),
  }
}

const plain = { qos: 0, isDup: false, isRetained: false, packetId: 0, topicAlias: 0, properties: null }

describe('a PUBLISH', () => {
  it('is read in its version', () => {
    expect(read(4, packet(0x30, text('a'), '6869'))).toEqual({ ...plain, topic: 'a', payload: 'hi' })
    expect(read(3, packet(0x33, text('a/b'), '0007'))).toEqual({
      ...plain,
      topic: 'a/b',
      payload: '',
      qos: 1,
      isRetained: true,
      packetId: 7,
    })
    expect(read(5, packet(0x3c, text('é'), 'ffff', properties(), '00ff'))).toMatchObject({
      topic: 'é',
      qos: 2,
      isDup: true,
      packetId: 0xffff,
      properties: null,
    })
  })

  it('with MQTT 5 has its message’s properties, and no others', () => {
    const all = properties(
      '01 01',
      '02 0000003c',
      '03',
      text('text/plain'),
      '23 0005',
      '08',
      text('r'),
      '09',
      text('c'),
      '26',
      text('a'),
      text('b'),
    )
    expect(read(5, packet(0x32, text('t'), '0001', all, '78'))).toEqual({
      topic: 't',
      payload: 'x',
      qos: 1,
      isDup: false,
      isRetained: false,
      packetId: 1,
      topicAlias: 5,
      properties: {
        payloadFormat: true,
        messageExpiry: 60,
        contentType: 'text/plain',
        responseTopic: 'r',
        correlationData: Buffer.from('c'),
        userProperties: [['a', 'b']],
      },
    })
    expect(read(5, packet(0x30, text('t'), properties('01 00')))).toMatchObject({
      properties: { payloadFormat: false },
    })
    expect(read(5, packet(0x30, text('t'), properties('23 0001'))).properties).toBeNull()
  })

  it('leaves nothing in the view for the next one', () => {
    read(5, packet(0x3d, text('t'), '0001', properties('23 0001', '01 01'), '78'))
    expect(read(4, packet(0x30, text('u')))).toEqual({ ...plain, topic: 'u', payload: '' })
    read(5, packet(0x3d, text('t'), '0001', properties('23 0001', '01 01'), '78'))
    expect(read(5, packet(0x30, text('u'), properties()))).toEqual({ ...plain, topic: 'u', payload: '' })
  })

  it('keeps U+FEFF in its topic and texts [MQTT-1.5.4-3]', () => {
    const whole = packet(
      0x30,
      text('\u{feff}a'),
      properties('03', text('\u{feff}b'), '26', text('\u{feff}'), text('c')),
    )
    expect(decodeOf('publish', 5, whole)).toMatchObject({
      topic: '\u{feff}a',
      properties: { contentType: '\u{feff}b', userProperties: [['\u{feff}', 'c']] },
    })
  })

  it('may have an alias in the place of its topic', () => {
    expect(decodeOf('publish', 5, packet(0x30, text(''), properties('23 0001'), '78'))).toMatchObject({
      topic: '',
      topicAlias: 1,
    })
  })

  it('with a payload is a view of what came, not a copy', () => {
    const frame = frameOf(packet(0x30, text('a'), '01'))
    readPublish(frame, 4, view)
    expect(view.bytes).toBe(frame.bytes)
  })
})

describe('a PUBLISH is refused', () => {
  it('with both QoS bits set [MQTT-3.3.1-4]', () => {
    for (const version of [3, 4, 5] as const) {
      for (const first of [0x36, 0x37, 0x3e, 0x3f]) {
        expect(refusalOf(version, packet(first, text('a'), '0001', '00'))).toBe('0x81 MQTT-3.3.1-4')
      }
    }
  })

  it('with DUP and QoS 0 [MQTT-3.3.1-2]; MQTT 3.1 does not say so', () => {
    expect(refusalOf(4, packet(0x38, text('a')))).toBe('0x81 MQTT-3.3.1-2')
    expect(refusalOf(5, packet(0x39, text('a'), '00'))).toBe('0x81 MQTT-3.3.1-2')
    expect(read(3, packet(0x38, text('a')))).toEqual({ ...plain, topic: 'a', payload: '' })
  })

  it('with QoS 1 or 2 and packet identifier 0 [MQTT-2.2.1-3]', () => {
    for (const first of [0x32, 0x34, 0x3a, 0x3c]) {
      expect(refusalOf(4, packet(first, text('a'), '0000'))).toBe('0x82 MQTT-2.2.1-3')
      expect(refusalOf(5, packet(first, text('a'), '0000', '00'))).toBe('0x82 MQTT-2.2.1-3')
    }
  })

  it('without a whole topic name [MQTT-3.3.2-1]', () => {
    for (const body of ['', '00', '0001', '0003 6162', 'ffff 61']) {
      expect(refusalOf(4, packet(0x30, body)), body).toBe('0x81 MQTT-3.3.2-1')
      expect(refusalOf(5, packet(0x30, body)), body).toBe('0x81 MQTT-3.3.2-1')
    }
  })

  it('without a whole packet identifier [section 2.2.1] or properties [MQTT-2.2.2-1]', () => {
    expect(refusalOf(4, packet(0x32, text('a')))).toBe('0x81 section 2.2.1')
    expect(refusalOf(4, packet(0x32, text('a'), '00'))).toBe('0x81 section 2.2.1')
    expect(refusalOf(5, packet(0x30, text('a')))).toBe('0x81 section 1.5.5')
    expect(refusalOf(5, packet(0x30, text('a'), '0201'))).toBe('0x81 section 2.2.2.1')
  })

  it('with a topic name that is not well-formed UTF-8 [MQTT-3.3.2-1] or has wildcards [MQTT-3.3.2-2]', () => {
    expect(refusalOf(4, packet(0x30, text(bytes('61eda080'))))).toBe('0x81 MQTT-1.5.4-1')
    expect(refusalOf(5, packet(0x30, text('a/#'), '00'))).toBe('0x81 MQTT-3.3.2-2')
    expect(refusalOf(4, packet(0x30, text('+')))).toBe('0x81 MQTT-3.3.2-2')
    expect(refusalOf(4, packet(0x30, text('a/b/c')), { topicLevelsMax: 2 })).toBe(
      '0x90 limit: topicLevelsMax',
    )
  })

  it('with neither topic name nor topic alias [section 3.3.2.1], or an empty one in MQTT 3 [MQTT-4.7.3-1]', () => {
    expect(refusalOf(5, packet(0x30, text(''), '00', '78'))).toBe('0x82 section 3.3.2.1')
    expect(refusalOf(5, packet(0x30, text(''), properties('01 01')))).toBe('0x82 section 3.3.2.1')
    expect(refusalOf(4, packet(0x30, text(''), '78'))).toBe('0x81 MQTT-4.7.3-1')
    expect(refusalOf(3, packet(0x30, text(''), '78'))).toBe('0x81 MQTT-4.7.3-1')
  })

  it('with a topic alias of 0 [MQTT-3.3.2-8]', () => {
    expect(refusalOf(5, packet(0x30, text('a'), properties('23 0000')))).toBe('0x94 MQTT-3.3.2-8')
  })

  it('with wildcards in its response topic [MQTT-3.3.2-14]', () => {
    expect(refusalOf(5, packet(0x30, text('a'), properties('08', text('b/#'))))).toBe('0x82 MQTT-3.3.2-14')
  })

  it('with a subscription identifier: only a server says it [MQTT-3.3.4-6]', () => {
    expect(refusalOf(5, packet(0x30, text('a'), properties('0b 01')))).toBe('0x82 MQTT-3.3.4-6')
  })

  it('with a remaining length longer than it need be, in MQTT 5 [MQTT-1.5.5-1]', () => {
    const padded = bytes('30 84 00', text('a'), '00')
    expect(refusal(() => read(5, padded))).toBe('0x81 MQTT-1.5.5-1')
    expect(read(4, padded)).toMatchObject({ topic: 'a', payload: '\0' })
  })
})

describe('the hot path', () => {
  it('makes no object a message', () => {
    const users = properties('02 0000003c', '26', text('a'), text('b'), '03', text('c'))
    for (const [version, whole] of [
      [4, packet(0x32, text('sensors/3/temperature'), '0001', Buffer.alloc(64))],
      [5, packet(0x32, text('sensors/3/temperature'), '0001', users, Buffer.alloc(64))],
    ] as const) {
      const chunk = Buffer.concat(Array.from({ length: 500 }, () => whole))
      const scanner = new FrameScanner(limits.packetBytesMax, 'any')
      const run = (chunks: number) => {
        for (let count = 0; count < chunks; count++) {
          scanner.push(chunk)
          for (let frame = scanner.next(); frame !== null; frame = scanner.next()) {
            readPublish(frame, version, view)
          }
        }
      }
      run(400)
      const before = process.memoryUsage().heapUsed
      run(400)
      // 200,000 messages: an object each would be several megabytes.
      expect(process.memoryUsage().heapUsed - before).toBeLessThan(1_000_000)
    }
  })
})
