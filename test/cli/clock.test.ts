/** A clock that is not to be trusted, as an operator sees it. */
import { expect, test } from 'vitest'
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
