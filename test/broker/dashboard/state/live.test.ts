import { describe, expect, it } from 'vitest'
import { AwayError, TokenError } from '../../../../broker/dashboard/api/faults.ts'
import { Live } from '../../../../broker/dashboard/state/live.ts'

/** A broker that answers as it is told, and a clock that goes when it is told. */
function stage() {
  const asked: string[] = []
  const timers: { ms: number; call: () => void }[] = []
  const scene = {
    now: 1_000_000,
    fails: null as Error | null,
    /** In these paths. */
    failsAt: '',
    hasToken: false,
    alarms: 0,
    asked,
    timers,
    /** Calls what is due next. @returns after how long */
    async next(): Promise<number> {
      const { ms, call } = timers.shift()!
      scene.now += ms
      call()
      await live.poll()
      return ms
    },
  }
  const get = async (path: string, query: object = {}) => {
    asked.push(`${path} ${JSON.stringify(query)}`)
    if (scene.fails !== null && path.includes(scene.failsAt)) throw scene.fails
    const name = path.split('/').at(-1)!
    if (name === 'history') {
      return { intervalSeconds: 5, samples: [{ at: scene.now, messagesPerSecond: 1 }] }
    }
    if (name === 'status') return { running: true, streams: [], upstreams: [] }
    if (name === 'upstreams') return { upstreams: [], downlinks: [] }
    return { [name]: Array.from({ length: name === 'alarms' ? scene.alarms : 1 }, (_, id) => ({ id })) }
  }
  const live = new Live({
    api: { get: get as never },
    hasToken: () => scene.hasToken,
    now: () => scene.now,
    after: (ms, call) => {
      const timer = { ms, call }
      timers.push(timer)
      return () => {
        const at = timers.indexOf(timer)
        if (at >= 0) timers.splice(at, 1)
      }
    },
  })
  return { live, scene }
}

describe('the live state', () => {
  it('asks anew every five seconds, and for the history only after what it has', async () => {
    const { live, scene } = stage()
    await live.poll()
    expect(live.store.value.link).toEqual({ state: 'live' })
    expect(await scene.next()).toBe(5_000)
    expect(live.store.value.samples).toHaveLength(2)
    expect(scene.asked.filter((one) => one.includes('history'))).toEqual([
      'api/v1/history {"since":null}',
      'api/v1/history {"since":1000000}',
    ])
  })

  it('keeps what it knows while nobody answers, waits twice as long each time up to a limit, and comes back', async () => {
    const { live, scene } = stage()
    await live.poll()
    scene.fails = new AwayError('')
    await scene.next()
    expect(live.store.value.link).toEqual({
      state: 'away',
      since: 1_005_000,
      retryAt: 1_006_000,
      reason: '',
    })
    expect(live.store.value.report).not.toBeNull()
    const waits: number[] = []
    for (let i = 0; i < 6; i++) waits.push(await scene.next())
    expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 15_000, 15_000])
    expect(live.store.value.link).toMatchObject({ since: 1_005_000 })
    scene.fails = null
    await scene.next()
    expect(live.store.value.link).toEqual({ state: 'live' })
    expect(scene.timers.map(({ ms }) => ms)).toEqual([5_000])
  })

  it('asks nothing any more until there is a token, and says when there was a wrong one', async () => {
    const { live, scene } = stage()
    scene.fails = new TokenError(401, 'HW_UNAUTHORIZED', 'this takes a token', '')
    await live.poll()
    expect(live.store.value.link).toEqual({ state: 'locked', isRefused: false, reason: 'this takes a token' })
    expect(scene.timers).toEqual([])
    scene.hasToken = true
    await live.poll()
    expect(live.store.value.link).toEqual({ state: 'locked', isRefused: true, reason: 'this takes a token' })
    scene.fails = null
    await live.poll()
    expect(live.store.value.link).toEqual({ state: 'live' })
  })

  it('asks seldom while nobody looks, and at once when somebody does', async () => {
    const { live, scene } = stage()
    await live.poll()
    live.setHidden(true)
    await scene.next()
    expect(scene.timers.map(({ ms }) => ms)).toEqual([30_000])
    const before = scene.asked.length
    live.setHidden(false)
    await live.poll()
    expect(scene.asked.length).toBeGreaterThan(before)
    expect(scene.timers.map(({ ms }) => ms)).toEqual([5_000])
  })

  it('asks for clients while they are looked at', async () => {
    const { live, scene } = stage()
    await live.poll()
    expect(live.store.value.clients).toBeNull()
    live.wantClients(true)
    await live.refresh()
    expect(live.store.value.clients).toHaveLength(1)
    live.wantClients(false)
    expect(live.store.value.clients).toBeNull()
    scene.asked.length = 0
    await scene.next()
    expect(scene.asked.some((one) => one.includes('clients'))).toBe(false)
  })

  it('goes on without clients where they take a token and the rest takes none', async () => {
    const { live, scene } = stage()
    scene.fails = new TokenError(401, 'HW_UNAUTHORIZED', 'this takes a token', 'name a file')
    scene.failsAt = 'clients'
    live.wantClients(true)
    await live.refresh()
    expect(live.store.value).toMatchObject({
      link: { state: 'live' },
      clients: null,
      clientsFault: 'this takes a token \u2013 name a file',
    })
  })

  it('has one timer, however often it is asked', async () => {
    const { live, scene } = stage()
    await Promise.all([live.poll(), live.poll(), live.refresh()])
    await live.refresh()
    expect(scene.timers).toHaveLength(1)
    live.close()
    expect(scene.timers).toHaveLength(0)
  })
})
