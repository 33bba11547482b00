/** Real devices by modbus-serial's own server, on a pseudo terminal that is wired to the link's. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ServerSerial } from 'modbus-serial'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startCron } from '../../../broker/cron.ts'
import { systemClock } from '../../../firmware-bridge/clock.ts'
import { systemSerialHost } from '../../../firmware-bridge/links/serial-line.ts'
import type { ModbusDeviceConfig } from '../../../firmware-bridge/modbus/config.ts'
import { ModbusLink, type StartSchedule } from '../../../firmware-bridge/modbus/modbus-link.ts'
import { Outbox } from '../../../firmware-bridge/outlet/outbox.ts'
import { noPtys, type Pty, plugInPair } from '../../support/pty.ts'
import { FakeUplink } from '../outlet/fake-uplink.ts'
import { eventually, RecordingLog } from '../support.ts'
import { device, modbusConfig, register } from './config.ts'

const ILLEGAL_ADDRESS = 2
/** Registers 0 to 9 hold their address times 100; above there are none. */
const LAST = 9

const UNITS = [1, 7]

let directory: string
let ptys: Pty[]
let server: ServerSerial
let silent: Set<number>
let requests: string[]
const links: ModbusLink[] = []

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'headwater-modbus-'))
  ptys = await plugInPair(join(directory, 'bus'), join(directory, 'devices'))
  silent = new Set()
  requests = []
  await new Promise<void>((resolve, reject) => {
    server = new ServerSerial(
      { getHoldingRegister: value, getInputRegister: value, getCoil: bit, getDiscreteInput: bit } as never,
      {
        path: join(directory, 'devices'),
        baudRate: 9600,
        unitID: 255,
        openCallback: (error: unknown) => (error ? reject(error) : resolve()),
      } as never,
    )
    server.on('error', () => {})
  })
})

afterEach(async () => {
  for (const link of links.splice(0)) await link.stop()
  await new Promise<void>((resolve) => server.close(() => resolve()))
  for (const pty of ptys) await pty.unplug()
  rmSync(directory, { recursive: true })
})

/** As modbus-serial calls it. Never calling back is a device that is off. */
function value(address: number, unit: number, callback: (error: unknown, value?: number) => void): void {
  requests.push(`${unit}:${address}`)
  if (silent.has(unit) || !UNITS.includes(unit)) return
  if (address > LAST) callback({ modbusErrorCode: ILLEGAL_ADDRESS })
  else callback(null, address * 100 + unit)
}

function bit(address: number, unit: number, callback: (error: unknown, value?: boolean) => void): void {
  requests.push(`${unit}:${address}`)
  if (!silent.has(unit)) callback(null, address % 2 === 1)
}

/** The link on the bus, with schedules that a test makes due. */
async function startLink(devices: ModbusDeviceConfig[], startSchedule?: StartSchedule) {
  const log = new RecordingLog()
  const uplink = new FakeUplink()
  const due: (() => void)[] = []
  const config = modbusConfig(join(directory, 'bus'), devices)
  // stands still, so that no back-off ends by itself
  const clock = { ...systemClock, offset: 0, monotonic: () => clock.offset }
  const host = {
    ...systemSerialHost(clock, log),
    random: () => 1,
    isClockTrusted: () => true,
    startSchedule:
      startSchedule ??
      (async (_expression: string, _timezone: string, callback: () => void) => {
        due.push(callback)
        return () => {}
      }),
  }
  const outbox = new Outbox('bridge-bus', config, { uplink, clock, log, random: () => 1 })
  const link = new ModbusLink(config, host, outbox)
  links.push(link)
  await link.start()
  return { link, log, uplink, due, clock }
}

describe.skipIf(noPtys !== null)('devices on a bus', () => {
  it('are read into one object each, of all kinds and types', async () => {
    const { link, uplink, due } = await startLink([
      device(1, [
        register(0, { name: 'a' }),
        register(1, { name: 'b', scale: 0.1 }),
        register(2, { type: 'uint32', name: 'c' }),
        register(5, { kind: 'input', name: 'd' }),
        register(0, { kind: 'coil' }),
        register(1, { kind: 'coil' }),
        register(3, { kind: 'discrete', name: 'e' }),
      ]),
      device(7, [register(9)]),
    ])
    for (const each of due) each()
    await eventually(() => expect(uplink.texts.length).toBe(2))
    expect(uplink.texts).toEqual([
      [
        'modbus/bus/1',
        `{"a":1,"b":10.1,"c":${201 * 65_536 + 301},"d":501,"coil-0":false,"coil-1":true,"e":true}`,
      ],
      ['modbus/bus/7', '{"holding-9":907}'],
    ])
    expect(link.counters).toMatchObject({ framesSent: 5, framesReceived: 5, bytesSent: 40 })
    expect(link.trouble).toBeNull()
    expect(link.devices[0]!.counters).toMatchObject({ reads: 4, messages: 1, skipped: 0 })
    expect(link.devices[0]!.counters.lastSeen).toBeGreaterThan(1e12)
    expect(uplink.published[0]!.properties).toMatchObject({
      'bridge.device': 'bus/1',
      'bridge.clock': 'trusted',
    })
  })

  it('give each value a topic of its own where that is wanted', async () => {
    const { uplink, due } = await startLink([
      device(1, [register(0, { name: 'a' }), register(1, { topic: 'plant/%u/power' })], { topic: 'm/%u/%k' }),
      device(7, [register(2, { topic: 'plant/%u/%k' }), register(3, { name: 'rest' })]),
    ])
    for (const each of due) each()
    await eventually(() => expect(uplink.texts.length).toBe(4))
    expect(uplink.texts).toEqual([
      ['m/1/a', '1'],
      ['plant/1/power', '101'],
      ['plant/7/holding-2', '207'],
      ['modbus/bus/7', '{"rest":307}'],
    ])
  })

  it('that refuse a register are told of once, and their others are read', async () => {
    const { link, log, uplink, due } = await startLink([device(1, [register(0), register(50)])])
    due[0]!()
    await eventually(() => expect(uplink.texts).toEqual([['modbus/bus/1', '{"holding-0":1}']]))
    due[0]!()
    await eventually(() => expect(uplink.texts.length).toBe(2))
    expect(link.devices[0]!.counters.failed).toEqual(new Map([['exception 2', 2]]))
    expect(log.matching('refuses').map(({ message }) => message)).toEqual([
      `serial port ${join(directory, 'bus')}: Modbus unit 1 refuses 1 holding from 50 (exception 2): it does not have this ` +
        'address: check address, counted from 0, and kind',
    ])
    expect(link.trouble).toBeNull()
  })

  it('that are silent are asked less and less often and do not hold up the others', async () => {
    const { link, log, uplink, due, clock } = await startLink([
      device(7, [register(0), register(5)], { timeoutMs: 1000 }),
      device(1, [register(0)]),
    ])
    silent.add(7)
    for (const each of due) each()
    await eventually(() => expect(uplink.texts).toEqual([['modbus/bus/1', '{"holding-0":1}']]))
    // its second read was not tried
    expect(requests).toEqual(['7:0', '1:0'])
    expect(link.trouble).toContain('no answer of unit 7')
    expect(log.matching('does not answer within 1000 ms: check its power').length).toBe(1)
    for (let round = 2; round <= 4; round++) {
      for (const each of due) each()
      await eventually(() => expect(uplink.texts.length).toBe(round))
    }
    expect(requests.filter((request) => request === '7:0').length).toBe(1)
    expect(link.devices[0]!.counters).toMatchObject({ skipped: 3, failed: new Map([['timeout', 1]]) })

    silent.delete(7)
    clock.offset += 1100
    due[0]!()
    await eventually(() => expect(uplink.texts.at(-1)![0]).toBe('modbus/bus/7'))
    expect(link.trouble).toBeNull()
    expect(log.matching('answers again after 1 tries').length).toBe(1)
  })

  it('that answer too late are not taken for others', async () => {
    const { link, uplink, due } = await startLink([
      device(1, [register(0)], { timeoutMs: 500 }),
      device(7, [register(3)]),
    ])
    silent.add(1)
    due[0]!()
    await eventually(() => expect(requests).toEqual(['1:0']))
    await eventually(() => expect(link.devices[0]!.counters.failed.get('timeout')).toBe(1))
    // unit 7's own answer before it is asked, with other values
    const late = Buffer.from('070302ffff31f4', 'hex')
    ptys[0]!.write(late)
    await eventually(() => expect(link.counters.bytesReceived).toBe(late.length))
    due[1]!()
    await eventually(() => expect(uplink.texts).toEqual([['modbus/bus/7', '{"holding-3":307}']]))
    expect(link.devices[1]!.counters.failed.size).toBe(0)
  })

  it('that answer what cannot be read are told so', async () => {
    const { log, link, due } = await startLink([device(1, [register(0)], { timeoutMs: 1000 })])
    silent.add(1)
    due[0]!()
    await eventually(() => expect(requests).toEqual(['1:0']))
    ptys[0]!.write(Buffer.from('ff00ff00ff', 'hex'))
    await eventually(() => expect(link.devices[0]!.counters.failed).toEqual(new Map([['garbled', 1]])))
    expect(log.matching('check baudRate, parity and stopBits').length).toBe(1)
  })

  it('are not asked while the port is away, which is no fault of theirs', async () => {
    const { link, uplink, due } = await startLink([device(1, [register(0)])])
    await ptys[0]!.unplug()
    await eventually(() => expect(link.trouble).not.toBeNull())
    due[0]!()
    due[0]!()
    await eventually(() => expect(link.devices[0]!.counters.skipped).toBe(2))
    expect(link.devices[0]!.silences).toBe(0)
    expect(uplink.texts).toEqual([])
  })

  it('that were silent do not answer again by their port being unplugged', async () => {
    const { link, log, due, clock } = await startLink([device(1, [register(0)], { timeoutMs: 300 })])
    silent.add(1)
    due[0]!()
    await eventually(() => expect(link.devices[0]!.silences).toBe(1))
    clock.offset = 60_000
    await eventually(() => {
      due[0]!()
      expect(requests.length).toBe(2)
    })
    await ptys[0]!.unplug()
    await eventually(() => expect(link.devices[0]!.counters.failed.get('port-closed')).toBe(1))
    expect(link.devices[0]!.silences).toBe(1)
    expect(log.matching('answers again')).toEqual([])
  })

  it('are read by their schedules', async () => {
    const { uplink } = await startLink([device(1, [register(0)], { schedule: '* * * * * *' })], startCron)
    await eventually(() => expect(uplink.texts.length).toBeGreaterThanOrEqual(2))
    expect(uplink.texts[0]).toEqual(['modbus/bus/1', '{"holding-0":1}'])
  })
})
