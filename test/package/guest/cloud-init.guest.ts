/** The `user-data` of a card, by cloud-init itself: its judgement of the file, and a first start with it, on the boot partition of a system like Raspberry Pi OS. */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Guest, packageFile } from './guest.ts'

const USER_DATA = fileURLToPath(new URL('../../../deploy/raspberry-pi/cloud-init/user-data', import.meta.url))
/** Where Raspberry Pi OS tells cloud-init to look; this small system has no locales to choose from. */
const PLACE =
  'datasource_list: [NoCloud, None]\ndatasource:\n  NoCloud:\n    seedfrom: /boot/firmware/\nlocale: false\n'

let card: string
let guest: Guest

beforeAll(async () => {
  card = mkdtempSync(join(tmpdir(), 'headwater-card-'))
  const boot = join(card, 'boot')
  mkdirSync(boot)
  copyFileSync(USER_DATA, join(boot, 'user-data'))
  writeFileSync(join(boot, 'meta-data'), 'instance-id: rpi-imager-1\n')
  copyFileSync(packageFile('current'), join(boot, 'headwater.deb'))
  writeFileSync(join(card, 'place.cfg'), PLACE)
  guest = await Guest.boot([
    `--bind-ro=${boot}:/boot/firmware`,
    `--bind-ro=${join(card, 'place.cfg')}:/etc/cloud/cloud.cfg.d/99_raspberry-pi.cfg`,
  ])
})
afterAll(async () => {
  await guest?.halt()
  rmSync(card, { recursive: true, force: true })
})

describe('cloud-init', () => {
  it('calls the file valid', async () => {
    expect(await guest.done('cloud-init schema --config-file /boot/firmware/user-data', 'root')).toMatch(
      /^Valid cloud-config/,
    )
  })

  it('would not, were a key wrong', async () => {
    const { code, output } = await guest.run(
      `sed 's/^runcmd:/runcmd: 5\\nx:/' /boot/firmware/user-data >/tmp/wrong && cloud-init schema --config-file /tmp/wrong`,
      60_000,
      'root',
    )
    expect(code).toBe(1)
    expect(output).toMatch(/runcmd: 5 is not of type/)
  })

  it('has carried it out at the first start, without a fault', async () => {
    expect(await guest.done('cloud-init status --wait --long', 'root')).toMatch(/status: done/)
    const log = await guest.done('cat /var/log/cloud-init.log /var/log/cloud-init-output.log', 'root')
    expect(log.split('\n').filter((line) => /Traceback|\[ERROR\]|Failed to run/.test(line))).toEqual([])
  })
})

describe('the card', () => {
  it('has its name, which is that of the edge', async () => {
    expect(await guest.done('hostname')).toBe('edge-17')
    expect(await guest.done('sudo headwater status --json | jq -r .broker.edge')).toBe('edge-17')
  })

  it('runs Headwater, also at the next start, where sensors reach it', async () => {
    expect(await guest.done('systemctl is-active headwater && systemctl is-enabled headwater')).toBe(
      'active\nenabled',
    )
    expect(await guest.done('sudo headwater status')).toMatch(/^mqtt +0\.0\.0\.0:1883/m)
    expect(await guest.done('sudo stat -c "%U:%G %a" /etc/default/headwater')).toBe('root:root 640')
  })

  it('keeps its journal in memory', async () => {
    const said = (place: string) =>
      guest.done(`journalctl --directory=${place} --quiet -o cat -t card 2>&1 || true`, 'root')
    await guest.done('logger -t card written-now && journalctl --sync', 'root')
    expect(await said('/run/log/journal')).toBe('written-now')
    expect(await said('/var/log/journal')).not.toContain('written-now')
  })
})
