/**
 * A port that goes away while serialport reads it: the read gives 0 bytes, serialport reads again, and so on for ever, with all of a core
 * and without an event (a third of the ports here that were unplugged just after they were opened). The port is asked now and then
 * whether it is still there.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { openSystemPort } from '../../../firmware-bridge/links/system-serial-port.ts'
import { noPtys, Pty } from '../../support/pty.ts'
import { eventually } from '../support.ts'
import { serialConfig } from './config.ts'

const PORTS = 24

it.skipIf(noPtys !== null)('a port that is unplugged is told of, at whatever moment that is', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'headwater-hang-up-'))
  try {
    for (let i = 0; i < PORTS; i++) {
      const path = join(directory, `port-${i}`)
      const pty = await Pty.plugIn(path)
      const told: string[] = []
      const listener = { onData: () => {}, onClosed: (reason: string) => told.push(reason) }
      await openSystemPort(serialConfig(path), listener)
      await pty.unplug()
      await eventually(() => expect(told.length).toBe(1))
    }
  } finally {
    rmSync(directory, { recursive: true })
  }
})
