import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Clock, systemClock } from '../../../sync/clock.ts'
import { unwatchedClock } from '../../../sync/clock-reading.ts'
import { createUpstream } from '../../../sync/index.ts'
import { Credentials } from '../../../sync/kafka/credentials.ts'
import { Secrets } from '../../../sync/secrets.ts'
import { createCertificate } from '../../support/certificates.ts'
import { refusal, secretFile, securityConfig } from './security-setup.ts'

const DAY_MS = 86_400_000

describe('credentials', () => {
  let directory: string
  let warnings: string[]
  let now = 0
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'headwater-credentials-'))
    warnings = []
    now = 0
  })
  afterEach(() => rm(directory, { recursive: true }))

  async function files(days: number) {
    const until = new Date(Date.now() + days * DAY_MS)
    const from = new Date(until.getTime() - 365 * DAY_MS)
    const { cert, key } = createCertificate({ name: 'edge', from, until })
    const certFile = await secretFile(directory, 'edge.pem', cert)
    return { certFile, keyFile: await secretFile(directory, 'edge.key', key) }
  }

  async function credentials(days: number) {
    const clock: Clock = { ...systemClock, monotonic: () => now }
    const warn = (line: string) => warnings.push(line)
    const deps = { secrets: new Secrets({}, null, ''), clock, readClock: unwatchedClock, warn }
    return new Credentials({ tls: await files(days) }, deps)
  }

  it('warn of a certificate in its last thirty days, once a day', async () => {
    const soon = await credentials(10.5)
    await soon.load()
    await soon.load()
    expect(warnings).toEqual([
      expect.stringMatching(
        /^this device's certificate expires in 10 days, on \S+Z - put a new one into \S+edge\.pem .*no restart/,
      ),
    ])
    now += DAY_MS
    await soon.load()
    expect(warnings).toHaveLength(2)
    expect(soon.certificate?.until).toBeGreaterThan(Date.now() + 10 * DAY_MS)
  })

  it('do not warn of one that has longer, and say it of one that has expired', async () => {
    await (await credentials(31)).load()
    expect(warnings).toEqual([])
    await (await credentials(-2)).load()
    expect(warnings[0]).toMatch(/^this device's certificate expired on/)
  })

  it("change their fingerprint with each file's content, and with nothing else", async () => {
    const one = await credentials(40)
    const before = (await one.load()).fingerprint
    expect((await one.load()).fingerprint).toBe(before)
    await files(41)
    expect((await one.load()).fingerprint).not.toBe(before)
  })

  it('ask for the name of the address, but not for an address in numbers', async () => {
    const one = await credentials(40)
    expect((await one.options('kafka.example')).options.tlsServerName).toBe('kafka.example')
    expect((await one.options('127.0.0.1')).options.tlsServerName).toBeUndefined()
  })

  it('reach the upstream that uses them: its certificate, and what is said of it', async () => {
    const config = securityConfig('127.0.0.1:1', { tls: await files(5) })
    const upstream = await createUpstream(config)
    expect(upstream.certificate).toBe(null)
    await upstream.recover({ edge: 'e', incarnation: 'i' }, []).catch(() => {})
    expect(upstream.certificate?.until).toBeGreaterThan(Date.now())
    const { said } = await refusal(config)
    expect(said).toMatch(/^upstream central: this device's certificate expires in 4 days/)
  })
})
