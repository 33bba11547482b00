import { expect, test } from 'vitest'
import { blockDeviceOf } from '../../../../broker/operations/doctor/block-device.ts'
import { examinePower, examineWatchdog } from '../../../../broker/operations/doctor/board.ts'
import { examineCard } from '../../../../broker/operations/doctor/card.ts'
import { examineMemory, examineSwap } from '../../../../broker/operations/doctor/memory.ts'
import {
  examineNativeModules,
  examineNode,
  examineOpenFiles,
  examinePageSize,
} from '../../../../broker/operations/doctor/runtime.ts'
import { CARD_TREE, fakeMachine, withFiles } from './fake-machine.ts'

test.each([
  ['179:2', '/sys/devices/platform/soc/mmc_host/mmc0/mmc0:aaaa/block/mmcblk0/mmcblk0p2', 'mmcblk0', 'card'],
  ['8:1', '/sys/devices/platform/scb/usb2/2-1/2-1:1.0/host0/target0/0:0:0:0/block/sda/sda1', 'sda', 'usb'],
  ['259:1', '/sys/devices/pci0000:00/0000:01:00.0/nvme/nvme0/nvme0n1/nvme0n1p1', 'nvme0n1', 'nvme'],
  ['8:17', '/sys/devices/pci0000:00/0000:00:1f.2/ata2/host1/target1/1:0:0:0/block/sdb/sdb1', 'sdb', 'other'],
])('the disk under a path on device %s is told by its place in /sys', async (device, place, name, kind) => {
  const files = { '/proc/self/mountinfo': `21 1 ${device} / / rw - ext4 /dev/root rw\n` }
  const machine = fakeMachine({ files, links: { [`/sys/dev/block/${device}`]: place } })
  expect(await blockDeviceOf(machine, '/var/lib/headwater')).toEqual({ name, kind, isRotating: false })
})

test('a file system without a device has no disk', async () => {
  const files = { '/proc/self/mountinfo': '21 1 0:40 / / rw - tmpfs tmpfs rw\n' }
  expect(await blockDeviceOf(fakeMachine({ files }), '/data')).toBe(null)
})

const registers = (registers: Record<string, string>) =>
  withFiles(
    CARD_TREE,
    Object.fromEntries(
      Object.entries(registers).map(([name, text]) => [`/sys/block/mmcblk0/device/${name}`, `${text}\n`]),
    ),
  )

test.each([
  [{ type: 'MMC', life_time: '0x01 0x02', pre_eol_info: '0x01' }, 'ok', 'up to 20 %'],
  [{ type: 'MMC', life_time: '0x01 0x09', pre_eol_info: '0x01' }, 'warning', 'up to 90 %'],
  [{ type: 'MMC', life_time: '0x03 0x02', pre_eol_info: '0x02' }, 'warning', 'spare blocks'],
  [{ type: 'MMC', life_time: '0x0b 0x02', pre_eol_info: '0x01' }, 'fault', 'exceeded'],
  [{ type: 'MMC', life_time: '0x01 0x02', pre_eol_info: '0x03' }, 'fault', 'up to 20 %'],
  [{ type: 'SD', name: 'SC32G', date: '07/2023' }, 'none', 'SD card SC32G made 07/2023'],
  [{ type: 'MMC', life_time: '0x00 0x00', pre_eol_info: '0x00' }, 'none', 'does not tell its wear'],
])('a card that says %j is %s', async (said, level, what) => {
  const machine = fakeMachine(registers(said as Record<string, string>))
  const finding = await examineCard(machine, await blockDeviceOf(machine, '/data'))
  expect(finding.level).toBe(level)
  expect(finding.what).toContain(what)
  expect(finding.todo === '').toBe(level === 'ok' || level === 'none')
})

test.each([
  ['0x0', 'ok', 'no under-voltage'],
  ['50005', 'fault', 'too low now'],
  ['0x50000', 'warning', 'too low since the boot'],
  ['0x4', 'warning', 'slowed down: too hot'],
  ['0x40000', 'warning', 'was slowed down since the boot'],
])('a board whose flags are %s: %s', async (flags, level, what) => {
  const files = { '/sys/devices/platform/soc/soc:firmware/get_throttled': `${flags}\n` }
  const finding = await examinePower(fakeMachine({ files }))
  expect(finding).toMatchObject({ level })
  expect(finding.what).toContain(what)
})

test('a board without flags and without a watchdog is nobody’s fault', async () => {
  expect(await examinePower(fakeMachine())).toMatchObject({ level: 'none' })
  expect(await examineWatchdog(fakeMachine())).toMatchObject({ level: 'none' })
})

test.each([
  ['active', 'ok'],
  ['inactive', 'warning'],
])('a watchdog that is %s: %s', async (state, level) => {
  const directory = '/sys/class/watchdog/watchdog0'
  const files = { identity: 'Broadcom BCM2835 Watchdog timer', state, timeout: '15' }
  const tree = Object.fromEntries(
    Object.entries(files).map(([name, text]) => [`${directory}/${name}`, `${text}\n`]),
  )
  const finding = await examineWatchdog(fakeMachine({ files: tree }))
  expect(finding).toMatchObject({ level })
  expect(finding.what).toContain('Broadcom')
})

const memory = (totalKb: number, groups: Record<string, string> = {}) =>
  fakeMachine({
    files: {
      '/proc/meminfo': `MemTotal:       ${totalKb} kB\nMemAvailable:   ${Math.floor(totalKb / 2)} kB\n`,
      '/proc/self/cgroup': '0::/system.slice/headwater.service\n',
      ...groups,
    },
  })

test('the smallest limit of the control groups above counts', async () => {
  expect(await examineMemory(memory(1_000_000), 'self')).toMatchObject({ level: 'ok' })
  const limited = memory(1_000_000, {
    '/sys/fs/cgroup/system.slice/headwater.service/memory.max': '300000000\n',
    '/sys/fs/cgroup/system.slice/memory.max': '80000000\n',
    '/sys/fs/cgroup/memory.max': 'max\n',
  })
  const finding = await examineMemory(limited, 'self')
  expect(finding).toMatchObject({ level: 'fault' })
  expect(finding.what).toContain('80 MB by its control group')
  const narrow = memory(1_000_000, {
    '/sys/fs/cgroup/system.slice/headwater.service/memory.max': '120000000\n',
  })
  expect(await examineMemory(narrow, 'self')).toMatchObject({ level: 'warning' })
})

test('swap on a card is warned of, swap in memory is not', async () => {
  const swaps = (line: string) => ({ '/proc/swaps': `Filename Type Size Used Priority\n${line}\n` })
  const onCard = withFiles(CARD_TREE, swaps('/var/swap file 102396 0 -2'))
  expect(await examineSwap(fakeMachine(onCard))).toMatchObject({ level: 'warning' })
  const zram = fakeMachine({
    files: swaps('/dev/zram0 partition 102396 0 100'),
    links: { '/sys/class/block/zram0': '/sys/devices/virtual/block/zram0' },
  })
  expect(await examineSwap(zram)).toEqual({ item: 'swap', level: 'ok', what: '/dev/zram0', todo: '' })
  expect(await examineSwap(fakeMachine({ files: swaps('') }))).toMatchObject({ level: 'ok', what: 'none' })
})

test('open files are compared with the connections that are allowed', async () => {
  const limits = (soft: string) => ({
    '/proc/812/limits': `Limit  Soft Limit  Hard Limit  Units\nMax open files            ${soft}                 524288               files     \n`,
  })
  const found = (soft: string) => examineOpenFiles(fakeMachine({ files: limits(soft) }), 812, 1000)
  expect(await found('1024')).toMatchObject({
    level: 'warning',
    todo: expect.stringContaining('LimitNOFILE=1256'),
  })
  expect(await found('1256')).toMatchObject({ level: 'ok' })
  expect(await found('unlimited')).toMatchObject({ level: 'ok' })
  expect(await examineOpenFiles(fakeMachine(), 812, 1000)).toMatchObject({ level: 'none' })
})

test.each([
  ['18.20.0', 'fault'],
  ['20.18.9', 'fault'],
  ['20.19.0', 'ok'],
  ['22.1.0', 'ok'],
])('Node.js %s: %s', (nodeVersion, level) => {
  expect(examineNode(fakeMachine({ machine: { nodeVersion } }))).toMatchObject({ level })
})

test('a 32-bit Node on a 64-bit kernel is told', () => {
  expect(examineNode(fakeMachine({ machine: { nodeArchitecture: 'arm' } })).what).toContain('32 bits')
})

test.each([
  ['4 kB', 'ok'],
  ['16 kB', 'ok'],
  ['64 kB', 'warning'],
])('pages of %s: %s', async (size, level) => {
  const files = { '/proc/self/smaps': `Size: 4 kB\nKernelPageSize:        ${size}\n` }
  expect(await examinePageSize(fakeMachine({ files }))).toMatchObject({ level })
})

test('native modules: prebuilt, compiled here, or not to be loaded', async () => {
  const loaded = [{ name: 'LevelDB', error: null, isOptional: false }]
  const maps = (file: string) => ({ '/proc/self/maps': `7f00-7f01 r-xp 00000000 b3:02 1 ${file}\n` })
  const prebuilt = fakeMachine({ files: maps('/opt/m/classic-level/prebuilds/linux-arm64/a.node') })
  expect((await examineNativeModules(prebuilt, loaded))[0]).toMatchObject({
    level: 'ok',
    what: 'LevelDB: prebuilt, loaded',
  })
  const built = fakeMachine({ files: maps('/opt/m/classic-level/build/Release/a.node') })
  expect((await examineNativeModules(built, loaded))[0]!.what).toContain('compiled on this machine')
  const failed = (isOptional: boolean) => [{ name: 'CRC-32C', error: 'no such file', isOptional }]
  expect(await examineNativeModules(prebuilt, failed(false))).toMatchObject([{ level: 'fault' }])
  expect(await examineNativeModules(prebuilt, failed(true))).toMatchObject([{ level: 'warning' }])
})
