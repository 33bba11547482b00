import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { ClockHost } from '../../../../broker/clock/clock-host.ts'
import { EARLIEST_TIME } from '../../../../broker/clock/trust.ts'
import { defaultConfig } from '../../../../broker/config/load.ts'
import { ListenError } from '../../../../broker/errors.ts'
import { examineCertificates } from '../../../../broker/operations/doctor/certificates.ts'
import { examineClock, judgeClock } from '../../../../broker/operations/doctor/clock.ts'
import { examineFileSystem, examineFsync, examineSpace } from '../../../../broker/operations/doctor/disk.ts'
import { examinePermissions } from '../../../../broker/operations/doctor/permissions.ts'
import { examinePorts, listenerOn } from '../../../../broker/operations/doctor/ports.ts'
import { latenciesOf } from '../../../../broker/operations/measure/latencies.ts'
import { nodeDisk } from '../../../../broker/storage/node-disk.ts'
import { createAuthority, createCertificate } from '../../../support/certificates.ts'
import { fakeMachine } from './fake-machine.ts'

const DAY_MS = 86_400_000
const config = defaultConfig('/data')
const GB = 1_000_000_000

test.each([
  [100_000_000, 'fault', 'nothing new is taken'],
  [200_000_000, 'warning', 'nearly full'],
  [20 * GB, 'ok', '20 GB of 32 GB free'],
])('%i bytes free: %s', async (freeBytes, level, what) => {
  const finding = await examineSpace(
    fakeMachine({ space: { freeBytes, totalBytes: 32 * GB } }),
    '/data',
    config,
  )
  expect(finding).toMatchObject({ level })
  expect(finding.what).toContain(what)
})

test('a budget larger than the disk is warned of', async () => {
  const machine = fakeMachine({ space: { freeBytes: 20 * GB, totalBytes: 32 * GB } })
  const large = { ...config, log: { ...config.log, disk: { ...config.log.disk, bytesMax: 64 * GB } } }
  expect(await examineSpace(machine, '/data', large)).toMatchObject({ level: 'warning' })
})

test('a file system in memory is a fault, one without barriers or an ordered journal a warning', () => {
  const found = (kind: 'reliable' | 'volatile', warning: string | null, ...options: string[]) =>
    examineFileSystem({ kind, type: 'ext4', mountPoint: '/', warning }, new Set(options))
  expect(found('volatile', 'it is in memory - use a disk')).toEqual({
    item: 'file system',
    level: 'fault',
    what: 'it is in memory',
    todo: 'use a disk',
  })
  expect(found('reliable', 'mounted with nobarrier - mount it without')).toMatchObject({ level: 'warning' })
  expect(found('reliable', null, 'rw', 'data=writeback')).toMatchObject({ level: 'warning' })
  expect(found('reliable', null, 'rw', 'data=ordered')).toMatchObject({ level: 'ok' })
})

test('an fsync that is slow, and one that is too fast to be true, are told', () => {
  const card = { name: 'mmcblk0', kind: 'card', isRotating: false } as const
  const nvme = { name: 'nvme0n1', kind: 'nvme', isRotating: false } as const
  const taking = (ms: number) => latenciesOf(Array.from({ length: 30 }, () => ms))
  expect(examineFsync(taking(6), card)).toMatchObject({ level: 'ok' })
  expect(examineFsync(taking(200), card)).toMatchObject({
    level: 'warning',
    what: expect.stringContaining('slow'),
  })
  expect(examineFsync(taking(0.02), card)).toMatchObject({
    what: expect.stringContaining('its cache is not flushed'),
  })
  expect(examineFsync(taking(0.02), nvme)).toMatchObject({ level: 'ok' })
  expect(examineFsync(null, card)).toMatchObject({ level: 'none' })
})

const host = (answers: Record<string, string>): ClockHost => ({
  readText: () => undefined,
  modifiedAt: (path) => (path === '/run/systemd/system' ? 1 : undefined),
  list: () => [],
  isInstalled: (program) => program in answers,
  run: async (program) => answers[program] ?? null,
  close() {},
})

test.each([
  [{ timedatectl: 'yes\n' }, 'ok', 'synchronized, by the kernel'],
  [{ timedatectl: 'no\n' }, 'warning', 'timedatectl does not call it synchronized'],
  [{}, 'warning', 'nothing on this machine tells'],
])('a clock of which %j is said: %s', async (answers, level, what) => {
  const now = EARLIEST_TIME + DAY_MS
  const judgement = await judgeClock(host(answers as Record<string, string>), now)
  const finding = await examineClock(fakeMachine(), judgement, 'auto', now)
  expect(finding).toMatchObject({ level })
  expect(finding.what).toContain(what)
  expect(finding.what).toContain('no hardware clock')
})

test('a clock that shows the past is a fault, whatever the configuration believes', async () => {
  const judgement = { trust: 'assumed', evidence: '' } as const
  expect(await examineClock(fakeMachine(), judgement, 'always', 1_000)).toMatchObject({ level: 'fault' })
  expect(await examineClock(fakeMachine(), judgement, 'always', EARLIEST_TIME)).toMatchObject({ level: 'ok' })
})

const guarded = { dataDirectory: '/data', configFile: '/etc/h.yaml', config: {}, brokerUid: null }
const DIRECTORY = { '/data': { mode: 0o700, isDirectory: true }, '/etc/h.yaml': { mode: 0o640 } }

test('what others may read or write is told, with the command that mends it', async () => {
  expect(await examinePermissions(fakeMachine({ facts: DIRECTORY }), guarded)).toMatchObject([
    { level: 'ok' },
  ])
  const open = fakeMachine({ facts: { ...DIRECTORY, '/data': { mode: 0o755, isDirectory: true } } })
  expect(await examinePermissions(open, guarded)).toMatchObject([
    { level: 'warning', todo: 'chmod o-rwx /data' },
  ])
  const wide = fakeMachine({ facts: { ...DIRECTORY, '/data': { mode: 0o777, isDirectory: true } } })
  expect(await examinePermissions(wide, guarded)).toMatchObject([{ level: 'fault' }])
  const config = { upstreams: [{ sasl: { password: 'x' } }] }
  const readable = fakeMachine({ facts: { ...DIRECTORY, '/etc/h.yaml': { mode: 0o644 } } })
  expect(await examinePermissions(readable, { ...guarded, config })).toMatchObject([
    { level: 'fault', what: expect.stringContaining('password stands in it') },
  ])
  expect(await examinePermissions(readable, guarded)).toMatchObject([{ level: 'ok' }])
})

test('secrets that everybody or not even the broker can read are faults', async () => {
  const config = { upstreams: [{ tls: { keyFile: '/k', caFile: '/ca' }, login: { credsFile: '/creds' } }] }
  const found = async (facts: object) =>
    (
      await examinePermissions(fakeMachine({ facts: { ...DIRECTORY, ...facts } }), { ...guarded, config })
    ).map(({ what }) => what)
  expect(await found({ '/k': { mode: 0o600 }, '/creds': { mode: 0o640, uid: 0 } })).toEqual([
    'data directory, configuration and secrets are kept from others',
  ])
  expect(await found({ '/k': { mode: 0o644 }, '/creds': { mode: 0o600, uid: 0 } })).toEqual([
    'keyFile: everybody may read /k',
    "credsFile: the broker's user 1000 cannot read /creds",
  ])
  expect(await found({ '/k': { mode: 0o600 } })).toEqual([
    'credsFile: /creds is not there, or cannot be seen',
  ])
})

test('a data directory of another user than the broker’s is a fault', async () => {
  const machine = fakeMachine({ facts: DIRECTORY })
  const findings = await examinePermissions(machine, { ...guarded, brokerUid: 998 })
  expect(findings[0]).toMatchObject({ level: 'fault', todo: 'chown -R 998 /data' })
})

const LISTENING = {
  '/proc/net/tcp':
    '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n' +
    '   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 100 1\n' +
    '   1: 0100007F:075B 00000000:0000 0A 00000000:00000000 00:00000000 00000000   105        0 4242 1\n' +
    '   2: 0100007F:075B 0100007F:C350 01 00000000:00000000 00:00000000 00000000   105        0 4300 1\n',
  '/proc/812/comm': 'mosquitto\n',
}
const SOCKETS = {
  '/proc/812/fd/3': '/dev/null',
  '/proc/812/fd/5': 'socket:[4242]',
  '/proc/9/fd/5': 'socket:[4300]',
}

test('who listens on a port is found by /proc', async () => {
  const machine = fakeMachine({ files: LISTENING, links: SOCKETS })
  expect(await listenerOn(machine, 1883)).toEqual({ pid: 812, name: 'mosquitto' })
  expect(await listenerOn(machine, 8080)).toBe(null)
  expect(await listenerOn(machine, 1884)).toBe(null)
})

test('a port is free, the broker’s own, or taken by someone', async () => {
  const machine = fakeMachine({ files: LISTENING, links: SOCKETS })
  const wanted = [{ key: 'mqtt.listeners[0]', address: { host: '127.0.0.1', port: 1883 }, isOptional: false }]
  const inUse = async () => new ListenError('127.0.0.1:1883', 'it is in use', 'choose another')
  const free = async () => null
  expect(await examinePorts(machine, wanted, null, free)).toMatchObject([{ level: 'ok' }])
  expect(await examinePorts(machine, wanted, 812, inUse)).toMatchObject([{ level: 'ok' }])
  expect(await examinePorts(machine, wanted, null, inUse)).toMatchObject([
    { level: 'fault', what: 'mqtt.listeners[0] 127.0.0.1:1883 is taken by mosquitto (pid 812)' },
  ])
  expect(await examinePorts(machine, wanted, 813, free)).toMatchObject([{ level: 'fault' }])
  const optional = wanted.map((port) => ({ ...port, isOptional: true }))
  expect(await examinePorts(machine, optional, null, inUse)).toMatchObject([{ level: 'warning' }])
  // without the right to look
  expect(await examinePorts(fakeMachine(), wanted, 812, inUse)).toMatchObject([{ level: 'ok' }])
})

let directory: string
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'headwater-doctor-'))
})
afterAll(() => rm(directory, { recursive: true, force: true }))

const authority = createAuthority('plant')
const NAMED = { name: 'broker', names: ['pi.local', '10.0.0.7'], issuer: authority }

async function certificate(cert: string, key: string, now = Date.now(), isTrusted = true) {
  const files = { certFile: join(directory, 'cert.pem'), keyFile: join(directory, 'key.pem') }
  await writeFile(files.certFile, cert)
  await writeFile(files.keyFile, key)
  const tls = { ...files, clientCaFile: null, requiresClientCertificate: false }
  return examineCertificates(nodeDisk, tls, '0.0.0.0:8883', { now, isTrusted })
}

test('a listener’s certificate: its key, names, chain and dates', async () => {
  const good = createCertificate(NAMED)
  expect(await certificate(good.cert + authority.cert, good.key)).toMatchObject([
    { level: 'ok', what: expect.stringContaining('pi.local, 10.0.0.7') },
  ])
  expect(await certificate(good.cert, createCertificate(NAMED).key)).toMatchObject([{ level: 'fault' }])
  expect(await certificate(good.cert + createAuthority('other').cert, good.key)).toMatchObject([
    { level: 'fault', what: expect.stringContaining('certificate 2 did not sign certificate 1') },
  ])
  const nameless = createCertificate({ name: 'broker', issuer: authority })
  expect(await certificate(nameless.cert, nameless.key)).toMatchObject([
    { level: 'warning', what: expect.stringContaining('names no host') },
  ])
})

test('a certificate that has expired, is about to, or is not valid yet by a clock that is not to be trusted', async () => {
  const { cert, key, x509 } = createCertificate(NAMED)
  const until = Date.parse(x509.validTo)
  expect(await certificate(cert, key, until - 20 * DAY_MS)).toMatchObject([{ level: 'warning' }])
  expect(await certificate(cert, key, until + DAY_MS)).toMatchObject([
    { level: 'fault', what: expect.stringContaining('expired') },
  ])
  expect(await certificate(cert, key, 0, false)).toMatchObject([
    {
      level: 'fault',
      what: expect.stringContaining('not to be trusted'),
      todo: "set this device's clock first",
    },
  ])
})
