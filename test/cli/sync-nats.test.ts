/** A JetStream upstream by the built command line: compared, moved and shown, over TLS and with a password that stands nowhere. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { ControlClient } from '../../broker/operations/control/control-client.ts'
import { createAuthority, createCertificate } from '../support/certificates.ts'
import { describeWithNats } from '../support/nats/vitest.ts'
import { type Finished, headwater, publish, scratch, startBroker } from './headwater.ts'

const PASSWORD = 'file-Secret-91'
const INLINE = 'inline-Secret-92'

interface Row {
  name: string
  state: string
  lagRecords: number
  sentRecords: number
  lastError: { code: string } | null
}

describeWithNats('a broker that replicates to NATS', (start) => {
  /** A home with a configuration, and a server that it logs in to. */
  async function prepare() {
    const home = scratch()
    const file = (name: string, text: string) => {
      writeFileSync(join(home, name), text, { mode: 0o600 })
      return join(home, name)
    }
    const authority = createAuthority('Plant')
    const shown = createCertificate({ name: 'nats', names: ['127.0.0.1'], issuer: authority })
    file('ca.pem', authority.cert)
    file('password', PASSWORD)
    const tls = `tls { cert_file: "${file('server.pem', shown.cert)}", key_file: "${file('server.key', shown.key)}" }`
    const { address } = await start({
      config: `authorization { user: edge, password: "${PASSWORD}" }\n${tls}`,
    })
    const upstream = { kind: 'nats', servers: [address], createStream: true, tls: { caFile: 'ca.pem' } }
    const configure = (...upstreams: object[]) =>
      file(
        'headwater.yaml',
        JSON.stringify({ upstreams: upstreams.map((each) => ({ ...upstream, ...each })) }),
      )
    return { home, configure }
  }

  async function until(home: string, name: string, isSo: (row: Row) => boolean): Promise<void> {
    let row: Row | undefined
    for (let tries = 0; tries < 600; tries++) {
      const client = await ControlClient.of(join(home, 'data'))
      const { upstreams } = await client.json<{ upstreams: Row[] }>('GET', '/sync/status')
      row = upstreams.find((each) => each.name === name)
      if (row !== undefined && isSo(row)) return
      await new Promise((resolve) => setTimeout(resolve, 25))
    }
    throw new Error(`${name} does not come to what was waited for: ${JSON.stringify(row)}`)
  }

  const said = ({ stdout, stderr }: Finished) => stdout + stderr
  const messages = (count: number): [string, string][] =>
    Array.from({ length: count }, (_, i) => [`plant/${i % 5}`, `value ${i}`])

  it('compares and moves its position, back and forward, while it runs and when it does not', async () => {
    const { home, configure } = await prepare()
    configure({ name: 'central', login: { user: 'edge', passwordFile: 'password' } })
    const { broker, port } = await startBroker([], home)
    await publish(port, messages(100))
    await until(home, 'central', ({ sentRecords }) => sentRecords === 100)
    const verify = () => headwater(['sync', 'verify', 'central'], home)
    const rewind = (to: string) =>
      headwater(['sync', 'rewind', 'central', 'events', '--to', to, '--yes'], home)
    const whole = await verify()
    expect(whole).toMatchObject({ code: 0, stderr: '' })
    expect(whole.stdout).toMatch(/^whole: 0 missing, 0 duplicated; 100 records the same on both sides$/m)

    const back = await rewind('earliest')
    expect(back).toMatchObject({ code: 0, stderr: '' })
    expect(back.stdout).toMatch(/^central: moved; 100 records sent again: upstream has them twice then$/m)
    await until(home, 'central', ({ sentRecords, lagRecords }) => sentRecords === 200 && lagRecords === 0)
    const twice = await verify()
    expect(twice.code).toBe(1)
    expect(twice.stdout).toMatch(/^faulty: 0 missing, 100 duplicated; 100 records the same on both sides$/m)

    await headwater(['sync', 'pause', 'central'], home)
    await publish(port, messages(40))
    expect(await rewind('latest')).toMatchObject({ code: 0, stderr: '' })
    await until(home, 'central', ({ state, lagRecords }) => state === 'paused' && lagRecords === 0)
    await headwater(['sync', 'resume', 'central'], home)
    await publish(port, messages(10))
    await until(home, 'central', ({ sentRecords, lagRecords }) => sentRecords === 210 && lagRecords === 0)
    const faulty = /^faulty: 40 missing, 100 duplicated; 110 records the same on both sides$/m
    expect((await verify()).stdout).toMatch(faulty)
    await broker.end('SIGTERM')
    expect((await verify()).stdout).toMatch(faulty)
    expect(broker.stdout + broker.stderr).not.toContain(PASSWORD)
  }, 120_000)

  it('shows no secret in its log, in any status, or to any command', async () => {
    const { home, configure } = await prepare()
    configure(
      { name: 'good', login: { user: 'edge', passwordEnv: 'NATS_PASSWORD' } },
      { name: 'bad', stream: 'bad', subjectPrefix: 'bad', login: { user: 'edge', password: INLINE } },
    )
    const env = { NATS_PASSWORD: PASSWORD, HEADWATER_DEBUG: '1', HEADWATER_LOG: 'debug' }
    const { broker, port } = await startBroker([], home, env)
    await publish(port, messages(10))
    await until(home, 'good', ({ sentRecords }) => sentRecords === 10)
    await until(home, 'bad', ({ lastError }) => lastError?.code === 'HW_UPSTREAM_AUTH')
    for (const args of [
      ['sync', 'status'],
      ['sync', 'status', '--json'],
      ['sync', 'verify', 'bad'],
      ['status', '--json'],
      ['check'],
      ['check', '--json'],
    ]) {
      const text = said(await headwater(args, home, env))
      expect(text, args.join(' ')).not.toMatch(/Secret-9/)
      expect(text, args.join(' ')).not.toMatch(/HW_USAGE/)
    }
    await broker.end('SIGTERM')
    expect(broker.stdout + broker.stderr).toContain('HW_UPSTREAM_AUTH')
    expect(broker.stdout + broker.stderr).not.toMatch(/Secret-9/)
  }, 120_000)
})
