import { describe, expect, it } from 'vitest'
import { Link, UNLIMITED } from '../../sync/link/link.ts'
import type { LinkHints } from '../../sync/link/link-probe.ts'
import { ManualClock, settle, setUp, unreachable } from './replicator-setup.ts'

describe('a link that comes back', () => {
  const away = async (hints: LinkHints) => {
    const clock = new ManualClock()
    const link = await Link.open(UNLIMITED, {
      name: 'fake',
      clock,
      sink: { info: () => {}, warn: () => {}, error: () => {} },
      hints,
    })
    const backoff = { firstMs: 1000, msMax: 3_600_000 }
    const world = setUp({ clock, link, options: { backoff } })
    const state = { isAway: true }
    world.upstream.beforeRecover = () => {
      if (state.isAway) throw unreachable()
    }
    world.log.appendMany('events', 0, 10)
    world.replicator.start()
    const pass = async (seconds: number) => {
      for (let i = 0; i < seconds; i++) {
        await settle()
        clock.advance(1000)
      }
      await settle()
    }
    return { ...world, state, pass }
  }

  it('is used within 30 s whatever the backoff has grown to, when the place answers again', async () => {
    let answers = false
    let asked = 0
    const probe = async () => {
      asked++
      return answers
    }
    const { replicator, upstream, state, pass } = await away({ network: () => 'net', probe })
    await pass(5000)
    expect(replicator.status().retryAt! - replicator.status().since).toBeGreaterThan(1_000_000)
    expect(asked).toBeGreaterThan(200)
    expect(asked).toBeLessThan(400)
    state.isAway = false
    answers = true
    await pass(25)
    expect(upstream.values.get('events/0')).toHaveLength(10)
  }, 60_000)

  it('is used at once when this device gets another address', async () => {
    let network = ''
    const { upstream, state, pass } = await away({ network: () => network, probe: null })
    await pass(300)
    const recovers = upstream.recovers
    network = '10.0.0.7'
    await pass(3)
    expect(upstream.recovers).toBeGreaterThan(recovers)
    state.isAway = false
    await pass(5)
    expect(upstream.values.get('events/0')).toHaveLength(10)
  })

  it('a place that answers and does not serve is believed once, until it has served', async () => {
    const { upstream, pass } = await away({ network: () => 'net', probe: async () => true })
    await pass(70)
    const recovers = upstream.recovers
    await pass(600)
    expect(upstream.recovers).toBeLessThan(recovers + 8)
  })
})
