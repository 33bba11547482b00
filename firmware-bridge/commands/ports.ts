/** `headwater-bridge ports`: what can stand in the configuration as `port`. */
import { access, constants } from 'node:fs/promises'
import type { Output } from '../../broker/operations/terminal/output.ts'
import { printable } from '../../broker/operations/terminal/printable.ts'
import { printTable } from '../../broker/operations/terminal/table.ts'
import { findPorts } from '../links/port-discovery.ts'

export async function listPorts(out: Output, isJson: boolean, root = '/'): Promise<void> {
  const ports = await Promise.all(
    (await findPorts(root)).map(async (port) => ({ ...port, isUsable: await isUsable(port.device) })),
  )
  if (isJson) {
    out.json(ports)
    return
  }
  if (ports.length === 0) {
    out.line('no serial port is here: plug a device in, or see `dmesg` for why it is not recognised')
    return
  }
  printTable(
    out,
    [{ title: 'PORT' }, { title: 'NOW' }, { title: 'ACCESS' }],
    ports.map(({ name, device, isUsable }) => [
      printable(name),
      printable(device),
      isUsable ? 'ok' : out.paint('yellow', 'no: add this user to the group dialout, and log in again'),
    ]),
  )
}

async function isUsable(device: string): Promise<boolean> {
  try {
    await access(device, constants.R_OK | constants.W_OK)
    return true
  } catch {
    return false
  }
}
