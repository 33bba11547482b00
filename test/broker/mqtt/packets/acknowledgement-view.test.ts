import { describe, expect, it } from 'vitest'
import { decode, packet, properties, refusalOf, text } from './support.ts'

const KINDS = [
  {
    type: 'puback',
    first: 0x40,
    clause: 'MQTT-3.4.2-1',
    codes: [0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99],
  },
  {
    type: 'pubrec',
    first: 0x50,
    clause: 'MQTT-3.5.2-1',
    codes: [0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99],
  },
  { type: 'pubrel', first: 0x62, clause: 'MQTT-3.6.2-1', codes: [0, 0x92] },
  { type: 'pubcomp', first: 0x70, clause: 'MQTT-3.7.2-1', codes: [0, 0x92] },
] as const

describe('PUBACK, PUBREC, PUBREL and PUBCOMP', () => {
  it('have a packet identifier, and with MQTT 5 a reason code and properties', () => {
    for (const { type, first } of KINDS) {
      for (const version of [3, 4, 5] as const) {
        expect(decode(version, packet(first, '0102'))).toEqual({ type, packetId: 0x0102, reasonCode: 0 })
      }
      expect(decode(5, packet(first, 'ffff', '00'))).toEqual({ type, packetId: 0xffff, reasonCode: 0 })
      expect(decode(5, packet(first, '0001', '00', '00'))).toEqual({ type, packetId: 1, reasonCode: 0 })
      const why = properties('1f', text('why'), '26', text('a'), text('b'))
      expect(decode(5, packet(first, '0001', '00', why))).toEqual({ type, packetId: 1, reasonCode: 0 })
    }
  })

  it('have one of their reason codes [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1]', () => {
    for (const { type, first, clause, codes } of KINDS) {
      for (let code = 0; code < 256; code++) {
        const whole = packet(first, '0001', code)
        if ((codes as readonly number[]).includes(code)) {
          expect(decode(5, whole)).toEqual({ type, packetId: 1, reasonCode: code })
        } else expect(refusalOf(5, whole), `${type} ${code}`).toBe(`0x82 ${clause}`)
      }
    }
  })

  it('have their flags [MQTT-2.1.3-1], PUBREL others than the rest [MQTT-3.6.1-1]; MQTT 3.1 does not care', () => {
    for (const { type, first } of KINDS) {
      for (let flags = 0; flags < 16; flags++) {
        const other = (first & 0xf0) | flags
        if (other === first) continue
        const clause = type === 'pubrel' ? 'MQTT-3.6.1-1' : 'MQTT-2.1.3-1'
        expect(refusalOf(4, packet(other, '0001'))).toBe(`0x81 ${clause}`)
        expect(refusalOf(5, packet(other, '0001'))).toBe(`0x81 ${clause}`)
        expect(decode(3, packet(other, '0001'))).toEqual({ type, packetId: 1, reasonCode: 0 })
      }
    }
  })

  it('have a packet identifier that is not 0 [MQTT-2.2.1-5] and not cut short [section 2.2.1]', () => {
    for (const { first } of KINDS) {
      for (const version of [3, 4, 5] as const) {
        expect(refusalOf(version, packet(first, '0000'))).toBe('0x82 MQTT-2.2.1-5')
        expect(refusalOf(version, packet(first))).toBe('0x81 section 2.2.1')
        expect(refusalOf(version, packet(first, '00'))).toBe('0x81 section 2.2.1')
      }
    }
  })

  it('have nothing after what they have [section 2.1.4]', () => {
    for (const { first } of KINDS) {
      expect(refusalOf(3, packet(first, '0001', '00'))).toBe('0x81 section 2.1.4')
      expect(refusalOf(4, packet(first, '0001', '00'))).toBe('0x81 section 2.1.4')
      expect(refusalOf(5, packet(first, '0001', '00', '00', '00'))).toBe('0x81 section 2.1.4')
      expect(refusalOf(5, packet(first, '0001', '00', '01'))).toBe('0x81 section 2.2.2.1')
    }
  })

  it('have a remaining length in its shortest form, in MQTT 5 [MQTT-1.5.5-1]', () => {
    for (const { type, first } of KINDS) {
      const padded = Buffer.from([first, 0x82, 0x00, 0x00, 0x01])
      expect(refusalOf(5, padded)).toBe('0x81 MQTT-1.5.5-1')
      expect(decode(4, padded)).toEqual({ type, packetId: 1, reasonCode: 0 })
    }
  })
})
