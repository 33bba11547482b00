/** A clock that is not to be trusted, as an operator sees it. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createServer } from 'node:tls'
import { expect, test } from 'vitest'
import { createAuthority, createCertificate } from '../support/certificates.ts'
import { headwater, publish, scratch, startBroker } from './headwater.ts'

test('status names a clock that is not to be trusted, read marks the records, and both say nothing of one that is', async () => {
  const home = scratch()
  const { broker, port } = await startBroker([], home, { HEADWATER_CLOCK_TRUST: 'never' })
  await publish(port, [['t', 'a']])
  const status = await headwater(['status'], home)
  expect(status.code).toBe(0)
  expect(status.stdout).toMatch(
    /^clock +not to be trusted \(clock\.trust is never\): retention by time stands still/m,
  )
  const report = JSON.parse((await headwater(['status', '--json'], home)).stdout)
  expect(report.broker.clock).toMatchObject({
    trust: 'untrusted',
    evidence: 'clock.trust is never',
    steps: 0,
  })
  expect(report.broker.clock.bootId).toMatch(/^[0-9a-f-]{36}$/)
  const read = async () => JSON.parse((await headwater(['read', 'events'], home)).stdout).clock
  expect(await read()).toEqual({ trust: 'untrusted' })
  expect(broker.stderr).toMatch(/warn the clock is not to be trusted \(clock\.trust is never\)/)
  await broker.end('SIGTERM')
  // the log tells it without a broker too
  expect(await read()).toEqual({ trust: 'untrusted' })

  const trusting = await startBroker([], home)
  expect((await headwater(['status'], home)).stdout).not.toMatch(/^clock/m)
  const { clock } = JSON.parse((await headwater(['status', '--json'], home)).stdout).broker
  expect(clock).toMatchObject({ trust: 'assumed', isTrusted: true })
  await trusting.broker.end('SIGTERM')
})

test("sync tells a certificate that is not valid yet from this device's clock that is wrong", async () => {
  const day = 86_400_000
  const authority = createAuthority('Test Authority')
  const names = ['127.0.0.1']
  const from = new Date(Date.now() + day)
  const { cert, key } = createCertificate({ name: 'kafka', names, issuer: authority, from })
  const server = createServer({ cert, key })
  server.on('tlsClientError', () => {})
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const home = scratch()
  const bootstrap = [`127.0.0.1:${(server.address() as { port: number }).port}`]
  writeFileSync(join(home, 'ca.pem'), authority.cert)
  const upstream = { name: 'central', kind: 'kafka', bootstrap, tls: { caFile: 'ca.pem' } }
  writeFileSync(join(home, 'headwater.yaml'), JSON.stringify({ upstreams: [upstream] }))
  const { broker } = await startBroker([], home, { HEADWATER_CLOCK_TRUST: 'never' })
  try {
    type Answer = { upstreams: [{ lastError: { code: string; message: string } | null }] }
    let lastError: Answer['upstreams'][0]['lastError'] = null
    for (let tries = 0; lastError === null && tries < 50; tries++) {
      const { stdout } = await headwater(['sync', 'status', '--json'], home)
      lastError = (JSON.parse(stdout) as Answer).upstreams[0].lastError
    }
    expect(lastError?.code).toBe('HW_UPSTREAM_CLOCK')
    expect(lastError?.message).toMatch(
      /this device's clock is wrong: it shows \S+Z \(clock\.trust is never\)/,
    )
  } finally {
    await broker.end('SIGTERM')
    server.close()
  }
})
