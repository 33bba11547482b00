/** The `user-data` of a card, against what it counts on: the package's places, and cloud-init's order. test/package/guest has cloud-init carry it out. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { parse } from 'yaml'

const read = (path: string) =>
  readFileSync(fileURLToPath(new URL(`../../deploy/raspberry-pi/${path}`, import.meta.url)), 'utf8')
const text = read('cloud-init/user-data')
const data = parse(text) as {
  hostname: string
  manage_etc_hosts: string
  write_files: { path: string; permissions?: string; content: string }[]
  runcmd: string[][]
}

it('begins with the line by which cloud-init knows it', () => {
  expect(text.startsWith('#cloud-config\n')).toBe(true)
})

it('has no key that it does not need, and a host name that the device can resolve', () => {
  expect(Object.keys(data)).toEqual([
    'hostname',
    'manage_etc_hosts',
    'package_update',
    'write_files',
    'runcmd',
  ])
  expect(data.manage_etc_hosts).toBe('localhost')
})

it('writes what the unit reads, not for everybody', () => {
  const environment = /^EnvironmentFile=-(.+)$/m.exec(read('systemd/headwater.service'))?.[1]
  expect(data.write_files.find(({ path }) => path === environment)).toMatchObject({
    // octal, and text: a number would be read as decimal
    permissions: '0640',
    content: expect.stringMatching(/^HEADWATER_MQTT_LISTENERS=/m),
  })
})

it('keeps the journal off the card in the way that the example does', () => {
  const journal = data.write_files.find(({ path }) => path.includes('journald.conf.d'))!
  const lines = (content: string) =>
    content.split('\n').filter((line) => /^\[|=/.test(line) && !/^#/.test(line))
  expect(lines(journal.content)).toEqual(lines(read('journald-sd-card.conf')))
  expect(data.runcmd).toContainEqual(['systemctl', 'restart', 'systemd-journald'])
})

it('installs from where the README says that the package is put', () => {
  const install = data.runcmd.map((command) => command.join(' ')).find((line) => line.includes('apt-get'))
  expect(install).toContain('/boot/firmware/headwater.deb')
  expect(read('README.md')).toMatch(/beside it as `headwater\.deb`/)
})
