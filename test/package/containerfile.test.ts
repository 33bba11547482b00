/** The Containerfile, read as an engine reads it: what it promises can be seen without building it. test/package/guest builds and runs it. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

const text = readFileSync(
  fileURLToPath(new URL('../../deploy/raspberry-pi/Containerfile', import.meta.url)),
  'utf8',
)

/** instruction = NAME 1*SP rest; a backslash at the end of a line goes on; a line that begins with "#" is none. */
const instructions = text
  .replace(/^#.*\n/gm, '')
  .replace(/\\\n/g, ' ')
  .split('\n')
  .filter((line) => line.trim() !== '')
  .map((line) => {
    const [, name = '', rest = ''] = /^([A-Z]+) +(.*)$/.exec(line) ?? []
    return { name, rest: rest.trim() }
  })
const of = (wanted: string) => instructions.filter(({ name }) => name === wanted).map(({ rest }) => rest)
const unit = readFileSync(
  fileURLToPath(new URL('../../deploy/raspberry-pi/systemd/headwater.service', import.meta.url)),
  'utf8',
)

it('is made of instructions that engines know', () => {
  const known = ['FROM', 'RUN', 'USER', 'ENV', 'VOLUME', 'EXPOSE', 'STOPSIGNAL', 'HEALTHCHECK', 'CMD']
  expect(instructions.map(({ name }) => name).filter((name) => !known.includes(name))).toEqual([])
})

it('has a base of one suite, and takes the package without keeping it', () => {
  expect(of('FROM')).toEqual([expect.stringMatching(/^docker\.io\/library\/debian:[a-z]+-slim$/)])
  const [run] = of('RUN')
  expect(run).toMatch(/^--mount=type=bind,target=\/packages /)
  expect(run).toContain('--no-install-recommends /packages/headwater_*_"$(dpkg --print-architecture)".deb')
  expect(run).toMatch(/rm -rf \/var\/lib\/apt\/lists\/\*$/)
})

it('runs as the user of the package, and what it starts is what the unit starts', () => {
  expect(of('USER')).toEqual([/^User=(.+)$/m.exec(unit)?.[1]])
  const names = instructions.map(({ name }) => name)
  expect(names.indexOf('USER')).toBeLessThan(names.indexOf('CMD'))
  const [command] = of('CMD').map((rest) => (JSON.parse(rest) as string[]).join(' '))
  expect(command).toBe(/^ExecStart=(.+)$/m.exec(unit)?.[1])
})

it('keeps the data on a volume, and is ended as the broker wants to be', () => {
  expect(of('VOLUME')).toEqual([`/var/lib/${/^StateDirectory=(.+)$/m.exec(unit)?.[1]}`])
  expect(of('STOPSIGNAL')).toEqual(['SIGTERM'])
  const port = /:(\d+)$/.exec(of('ENV').find((rest) => rest.startsWith('HEADWATER_MQTT_LISTENERS='))!)?.[1]
  expect(of('EXPOSE')).toEqual([port])
})

it('is well while it answers, whatever alarms there are', () => {
  const [check] = of('HEALTHCHECK')
  const [, command = ''] = /CMD (\[.*\])$/.exec(check!) ?? []
  const [node, , script] = JSON.parse(command) as string[]
  expect(node).toBe('/opt/headwater/current/bin/node')
  expect(script).toContain('/health/live')
})
