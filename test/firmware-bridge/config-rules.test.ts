/** Schemas and rules of entries of links and bodies: each default is taken, each contradiction is named where it stands. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TSchema } from '@sinclair/typebox'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { schemaProblems, withDefaults } from '../../broker/config/schema-check.ts'
import { BodyMapper } from '../../firmware-bridge/bodies/body-mapper.ts'
import { type BodyConfig, BodySchema } from '../../firmware-bridge/bodies/config.ts'
import { bodyFaults } from '../../firmware-bridge/bodies/rules.ts'
import type { EntryFault } from '../../firmware-bridge/config/entry-fault.ts'
import { type LineLinkConfig, LineLinkSchema } from '../../firmware-bridge/lines/config.ts'
import { lineLinkFaults } from '../../firmware-bridge/lines/rules.ts'
import { SerialLinkSchema, type UdpLinkConfig, UdpLinkSchema } from '../../firmware-bridge/links/config.ts'
import { udpLinkFaults } from '../../firmware-bridge/links/rules.ts'
import { type ModbusLinkConfig, ModbusLinkSchema } from '../../firmware-bridge/modbus/config.ts'
import { modbusLinkFaults } from '../../firmware-bridge/modbus/rules.ts'

/** As it is loaded: with defaults, and without a problem of the schema. */
function loaded<C>(schema: TSchema, given: object): C {
  const value = withDefaults(schema, given)
  expect(schemaProblems(schema, value)).toEqual([])
  return value as C
}

const places = (faults: readonly EntryFault[]) => faults.map(({ path }) => path.join('.'))

const line = (more: object = {}) =>
  loaded<LineLinkConfig>(LineLinkSchema, {
    kind: 'serial',
    port: '/dev/x',
    protocol: 'line',
    format: 'json',
    topic: 'a/%p',
    ...more,
  })
const udp = (more: object = {}) =>
  loaded<UdpLinkConfig>(UdpLinkSchema, { kind: 'udp', address: '127.0.0.1:1884', ...more })
const body = (more: object = {}) => loaded<BodyConfig>(BodySchema, more)
const modbus = (...devices: object[]) =>
  loaded<ModbusLinkConfig>(ModbusLinkSchema, { kind: 'serial', port: '/dev/x', protocol: 'modbus', devices })
const meter = (more: object = {}) => ({ unit: 1, registers: [{ address: 0 }], ...more })

describe('an entry with what it must have, and defaults for the rest', () => {
  it('is taken', () => {
    loaded(SerialLinkSchema, { kind: 'serial', port: '/dev/serial/by-id/usb-x', protocol: 'mqtt-sn' })
    expect(lineLinkFaults(line())).toEqual([])
    expect(udpLinkFaults(udp())).toEqual([])
    expect(bodyFaults(body())).toEqual([])
    expect(modbusLinkFaults(modbus(meter()))).toEqual([])
  })

  it('has the usual settings of its field', () => {
    expect(modbus(meter())).toMatchObject({
      baudRate: 9600,
      devices: [{ timeoutMs: 500, registers: [{ type: 'uint16' }] }],
    })
    expect(line()).toMatchObject({ baudRate: 115_200, whenFull: 'drop-oldest' })
    expect(body()).toMatchObject({ format: 'opaque', malformed: 'dead-letter' })
  })
})

describe('a contradiction is named where it stands', () => {
  it.each([
    [{ topic: 'a/%x' }, 'topic'],
    [{ topic: 'a/+' }, 'topic'],
    [{ format: 'text', topic: 'a/%k' }, 'topic'],
    [{ format: 'text', topic: 'a/%{id}' }, 'topic'],
    [{ columns: ['a'] }, 'columns'],
    [{ whenFull: 'pause' }, 'whenFull'],
  ])('in lines: %j', (more, place) => {
    expect(places(lineLinkFaults(line(more)))).toEqual([place])
  })

  it.each([
    [{ address: '127.0.0.1:99999' }, 'address'],
    [{ address: '300.0.0.1:1884' }, 'address'],
    [{ allow: ['192.0.2.1', '192.0.2.0/64'] }, 'allow.1'],
    [{ multicast: '225.1.1.1:99999' }, 'multicast'],
    [{ multicast: '[ff02::1]:1883' }, 'multicast'],
  ])('in UDP: %j', (more, place) => {
    expect(places(udpLinkFaults(udp(more)))).toEqual([place])
  })

  it.each([
    [{ topic: 'a/#/b' }, 'topic'],
    [{ deadLetterTopic: 'a/+' }, 'deadLetterTopic'],
    [{ schema: { 1: { name: 'a' } } }, 'schema'],
    [{ time: 'key' }, 'time'],
    [{ format: 'cbor', schema: { 1: { name: 'a' }, 2: { name: 'a' } } }, 'schema.2.name'],
  ])('in bodies: %j', (more, place) => {
    expect(places(bodyFaults(body(more)))).toEqual([place])
  })

  it.each([
    [{ schedule: '99 * * * * *' }, 'devices.0.schedule'],
    [{ topic: 'a/%x' }, 'devices.0.topic'],
    [{ topic: 'a/%{b}' }, 'devices.0.topic'],
    [{ registers: [{ address: 0, topic: 'a/#' }] }, 'devices.0.registers.0.topic'],
    [{ registers: [{ address: 0 }, { address: 0, type: 'int16' }] }, 'devices.0.registers.1'],
    [{ registers: [{ address: 65_535, type: 'float32' }] }, 'devices.0.registers.0.address'],
    [{ registers: [{ address: 0, kind: 'coil', scale: 2 }] }, 'devices.0.registers.0.scale'],
  ])('in Modbus: %j', (more, place) => {
    expect(places(modbusLinkFaults(modbus(meter(more))))).toEqual([place])
  })

  it('in Modbus: a unit that is named twice, a time zone that is none', () => {
    expect(places(modbusLinkFaults(modbus(meter(), meter())))).toEqual(['devices.1.unit'])
    expect(places(modbusLinkFaults({ ...modbus(meter()), timezone: 'Mars/Base' }))).toEqual(['timezone'])
  })
})

describe('the documentation', () => {
  const text = readFileSync(join(import.meta.dirname, '../../docs/serial.md'), 'utf8')
  const examples = [...text.matchAll(/```yaml\n([^`]*)```/g)].map(([, yaml]) => parse(yaml!))

  it('shows links that are taken', () => {
    const links = examples.flatMap((example) => example.links ?? [])
    expect(links.length).toBe(6)
    for (const link of links) {
      if (link.kind === 'udp') expect(udpLinkFaults(loaded(UdpLinkSchema, link))).toEqual([])
      else if (link.protocol === 'line') expect(lineLinkFaults(loaded(LineLinkSchema, link))).toEqual([])
      else if (link.protocol === 'modbus')
        expect(modbusLinkFaults(loaded(ModbusLinkSchema, link))).toEqual([])
      else loaded(SerialLinkSchema, link)
    }
  })

  it('shows a body that becomes what it says', () => {
    const [entry] = examples.flatMap((example) => example.devices?.bodies ?? [])
    const config = loaded<BodyConfig>(BodySchema, entry)
    expect(bodyFaults(config)).toEqual([])
    const sent = Buffer.from('a3001b0000018bcfe568000119086602f5', 'hex')
    expect(text).toContain(`${sent.length} bytes, becomes`)
    const mapped = new BodyMapper([config]).fromDevice('pump-7', 't', sent)
    expect(mapped).toMatchObject({ kind: 'mapped', deviceTimeMs: 1_700_000_000_000 })
    const json = mapped?.kind === 'mapped' ? Buffer.from(mapped.payload).toString() : ''
    expect(text).toContain(`becomes \`${json}\``)
  })
})
