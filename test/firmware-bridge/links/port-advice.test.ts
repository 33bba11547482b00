import { userInfo } from 'node:os'
import { expect, it } from 'vitest'
import { adviseHere } from '../../../firmware-bridge/links/port-advice.ts'
import { PortFailure } from '../../../firmware-bridge/links/serial-port.ts'

it('a permission that is missing is told with the group and the command', async () => {
  const line = await adviseHere('/dev/ttyUSB0', new PortFailure('permission', 'permission denied'))
  expect(line).toBe(
    '/dev/ttyUSB0: permission denied; it belongs to group dialout: ' +
      `\`sudo usermod -aG dialout ${userInfo().username}\`, then log in again or restart the service`,
  )
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
