import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { findPorts, stableNameOf } from '../../../firmware-bridge/links/port-discovery.ts'

let root: string

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'headwater-ports-'))
})

afterEach(() => rmSync(root, { recursive: true }))

function file(path: string, text = ''): void {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), text)
}

function link(path: string, target: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  symlinkSync(target, join(root, path))
}

/** A Pi with two equal adapters without a serial number, an Arduino, its UART, and UARTs that are not built in. */
function makeMachine(): void {
  for (const tty of ['ttyUSB0', 'ttyUSB1', 'ttyACM0', 'ttyAMA0', 'ttyS0', 'ttyS1']) {
    file(`dev/${tty}`)
    file(`sys/class/tty/${tty}/device/uevent`)
  }
  file('sys/class/tty/ttyS0/type', '4\n')
  file('sys/class/tty/ttyS1/type', '0\n')
  file('sys/class/tty/tty1/uevent')
  link('dev/serial/by-id/usb-1a86_USB_Serial-if00-port0', '../../ttyUSB1')
  link('dev/serial/by-id/usb-Arduino_Uno_55330-if00', '../../ttyACM0')
  link('dev/serial/by-path/platform-usb-0:1.1:1.0-port0', '../../ttyUSB0')
  link('dev/serial/by-path/platform-usb-0:1.2:1.0-port0', '../../ttyUSB1')
  link('dev/serial/by-path/platform-usb-0:1.3:1.0', '../../ttyACM0')
  link('dev/serial/by-id/usb-gone', '../../ttyUSB9')
}

describe('serial ports', () => {
  it('are found with the name that stays theirs, and only where there is hardware', async () => {
    makeMachine()
    const found = await findPorts(root)
    expect(found.map(({ name, device }) => [name.slice(root.length), device.slice(root.length)])).toEqual([
      ['/dev/serial/by-id/usb-1a86_USB_Serial-if00-port0', '/dev/ttyUSB1'],
      ['/dev/serial/by-id/usb-Arduino_Uno_55330-if00', '/dev/ttyACM0'],
      ['/dev/serial/by-path/platform-usb-0:1.1:1.0-port0', '/dev/ttyUSB0'],
      ['/dev/ttyAMA0', '/dev/ttyAMA0'],
      ['/dev/ttyS0', '/dev/ttyS0'],
    ])
  })

  it('are none where there are none', async () => {
    expect(await findPorts(root)).toEqual([])
  })

  it('that are named by a number have a better name', async () => {
    makeMachine()
    const better = async (port: string) => (await stableNameOf(join(root, port), root))?.slice(root.length)
    expect(await better('dev/ttyUSB0')).toBe('/dev/serial/by-path/platform-usb-0:1.1:1.0-port0')
    expect(await better('dev/ttyACM0')).toBe('/dev/serial/by-id/usb-Arduino_Uno_55330-if00')
    expect(await better('dev/ttyAMA0')).toBeUndefined()
    expect(await better('dev/serial/by-path/platform-usb-0:1.3:1.0')).toBeUndefined()
    expect(await better('dev/ttyUSB7')).toBeUndefined()
  })
})
