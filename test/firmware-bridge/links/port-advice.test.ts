import { userInfo } from 'node:os'
import { expect, it, vi } from 'vitest'
import { adviseHere } from '../../../firmware-bridge/links/port-advice.ts'
import { PortFailure } from '../../../firmware-bridge/links/serial-port.ts'

const user = vi.hoisted(() => ({ hasName: true }))
vi.mock('node:os', async (load) => {
  const os = await load<typeof import('node:os')>()
  const found = () => {
    if (user.hasName) return os.userInfo()
    throw new Error('A system error occurred: uv_os_get_passwd returned ENOENT (no such file or directory)')
  }
  return { ...os, userInfo: found }
})

it('a permission that is missing is told with the group and the command', async () => {
  const line = await adviseHere('/dev/ttyUSB0', new PortFailure('permission', 'permission denied'))
  expect(line).toBe(
    '/dev/ttyUSB0: permission denied; it belongs to group dialout: ' +
      `\`sudo usermod -aG dialout ${userInfo().username}\`, then log in again or restart the service`,
  )
})

it('a user of a container, who has no name, is told by number', async () => {
  user.hasName = false
  const line = await adviseHere('/dev/ttyUSB0', new PortFailure('permission', 'permission denied'))
  expect(line).toContain(`\`sudo usermod -aG dialout #${process.getuid!()}\``)
  user.hasName = true
})

it('a port that is not there is told with those that are, or that there are none', async () => {
  const line = await adviseHere('/dev/ttyUSB0', new PortFailure('absent', ''))
  expect(line).toMatch(
    /^\/dev\/ttyUSB0 is not there: plug it in, or name another port; (there are \/dev\/|this machine)/,
  )
})

it('a port whose holder cannot be seen is told all the same', async () => {
  const line = await adviseHere('/dev/nothing', new PortFailure('busy', ''))
  expect(line).toContain('/dev/nothing is used by another process: stop it')
})
