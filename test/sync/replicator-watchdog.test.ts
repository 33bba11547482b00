import { describe, expect, it } from 'vitest'
import { OPTIONS, settle, setUp, unreachable, valuesOf } from './replicator-setup.ts'

describe('the watchdog', () => {
  it('ends a call that goes on without an end: it is dropped, told, counted, and tried again', async () => {
    const { log, upstream, clock, lines, replicator } = setUp()
    log.appendMany('events', 0, 10)
    let fail = (_: Error) => {}
    upstream.beforeSend = () => {
      upstream.beforeSend = () => {}
      return new Promise<void>((_, reject) => {
        fail = reject
      })
    }
    const disconnect = upstream.disconnect.bind(upstream)
    upstream.disconnect = async () => {
      fail(unreachable())
      return disconnect()
    }
    replicator.start()
    await settle()
    clock.advance(59_000)
    await settle()
    expect(replicator.status()).toMatchObject({ state: 'sending', stalls: 0 })
    clock.advance(1000)
    await settle()
    expect(replicator.status()).toMatchObject({
      state: 'backoff',
      stalls: 1,
      lastError: { code: 'HW_UPSTREAM_STALLED', message: expect.stringContaining('a round at memory') },
    })
    clock.advance(1000)
    await settle()
    expect(upstream.values.get('events/0')).toEqual(valuesOf(0, 10))
    expect(lines.at(-1)).toMatch(/recovered after 1 try/)
  })

  it('asks nothing more while a call that does not even fail then is still there', async () => {
    const { log, upstream, clock, replicator } = setUp()
    log.appendMany('events', 0, 10)
    let release = () => {}
    upstream.beforeSend = () => {
      upstream.beforeSend = () => {}
      return new Promise<void>((resolve) => {
        release = resolve
      })
    }
    replicator.start()
    await settle()
    for (let i = 0; i < 10; i++) {
      clock.advance(30_000)
      await settle()
    }
    expect(upstream.recovers).toBe(1)
    release()
    await settle()
    expect(upstream.recovers).toBe(2)
    expect(upstream.values.get('events/0')).toEqual(valuesOf(0, 10))
  })

  it('leaves a slow link its time: a call may take ten times what such calls took', async () => {
    const { log, upstream, clock, replicator } = setUp({
      options: { round: { ...OPTIONS.round, bytesMax: 2048 } },
    })
    log.appendMany('events', 0, 2000)
    upstream.beforeSend = () => new Promise<void>((resolve) => void clock.after(45_000, resolve))
    replicator.start()
    for (let i = 0; i < 15; i++) {
      await settle()
      clock.advance(45_000)
    }
    await settle()
    upstream.beforeSend = () => new Promise<void>((resolve) => void clock.after(200_000, resolve))
    for (let i = 0; i < 10; i++) {
      await settle()
      clock.advance(45_000)
    }
    expect(replicator.status().stalls).toBe(0)
    upstream.beforeSend = () => {}
    clock.advance(200_000)
    await settle()
  })
})
