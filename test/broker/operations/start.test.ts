/** The order in which `start` opens and closes, with parts that only note it. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { defaultConfig } from '../../../broker/config/load.ts'
import type { Config } from '../../../broker/config/schema.ts'
import type { CommandContext } from '../../../broker/operations/commands/context.ts'
import { type RunningBroker, runStart, type StartParts } from '../../../broker/operations/commands/start.ts'
import { FakeLog, fakeOperations } from './fake-log.ts'
import { outputTo } from './output-to.ts'

let data: string
let calls: string[]
let stop: AbortController
let printed: string
beforeEach(() => {
  data = mkdtempSync(join(tmpdir(), 'headwater-start-'))
  calls = []
  stop = new AbortController()
  printed = ''
})
afterEach(() => rmSync(data, { recursive: true, force: true }))

function withoutHttp(config: Config): Config {
  return { ...config, http: { ...config.http, address: null } }
}

function context(): CommandContext {
  const out = outputTo((text) => {
    printed += text
  })
  return {
    out,
    err: out,
    env: {},
    signal: stop.signal,
    loadConfig: () => Promise.reject(new Error('not used')),
    openLog: () => Promise.reject(new Error('not used')),
  }
}

function parts(): StartParts<RunningBroker> {
  const closing = (name: string) => async () => void calls.push(`close ${name}`)
  return {
    loaded: {
      config: withoutHttp(defaultConfig(data)),
      file: null,
      isHttpGiven: false,
      warnings: ['a warning'],
    },
    startBroker: async () => {
      calls.push('broker')
      return Object.assign(fakeOperations(new FakeLog({ events: 1 })), {
        close: closing('broker'),
        addGuest: () => 'secret',
      })
    },
    startSync: async () => {
      calls.push('sync')
      const commands = { pause() {}, resume() {}, now() {}, rewind: async () => [] }
      const sync = { status: () => [], onChange: () => () => {}, ...commands }
      return { operations: sync, close: closing('sync') }
    },
    startDemo: () => {
      calls.push('demo')
      return { description: 'sensors', close: closing('demo') }
    },
  }
}

const socket = () => existsSync(join(data, 'headwater.sock'))

test('it opens broker, sync, socket and demo, and closes them in the reverse order', async () => {
  const running = runStart(context(), { program: 'headwater' }, parts())
  await vi.waitFor(() => expect(printed).toContain('Ctrl-C'))
  expect(calls).toEqual(['broker', 'sync', 'demo'])
  expect(socket()).toBe(true)
  expect(printed).toContain('warn a warning')
  stop.abort()
  expect(await running).toBe(0)
  expect(calls.slice(3)).toEqual(['close demo', 'close sync', 'close broker'])
  expect(socket()).toBe(false)
})

test('a demo without a listener that its sensors can speak to says so', async () => {
  const demo = parts()
  const startBroker = demo.startBroker
  const onlyTls: StartParts<RunningBroker> = {
    ...demo,
    startBroker: async (...args) => {
      const broker = await startBroker(...args)
      const status = broker.status()
      return {
        ...broker,
        status: () => ({ ...status, mqtt: { ...status.mqtt, listeners: ['mqtts://1.2.3.4:8883'] } }),
      }
    },
  }
  const running = runStart(context(), { program: 'headwater' }, onlyTls)
  await vi.waitFor(() => expect(printed).toContain('Ctrl-C'))
  expect(calls).not.toContain('demo')
  expect(printed).toContain('--demo publishes nothing')
  stop.abort()
  expect(await running).toBe(0)
})

test('what was opened is closed when a later part fails', async () => {
  const failing: StartParts<RunningBroker> = {
    ...parts(),
    startSync: () => Promise.reject(new Error('sync does not start')),
  }
  await expect(runStart(context(), { program: 'headwater' }, failing)).rejects.toThrow('sync does not start')
  expect(calls).toEqual(['broker', 'close broker'])
})

test('without a control socket it runs nevertheless, and says so', async () => {
  const elsewhere = parts()
  elsewhere.loaded.config.data = join(data, 'missing')
  const running = runStart(context(), { program: 'headwater' }, elsewhere)
  await vi.waitFor(() => expect(printed).toContain('Ctrl-C'))
  expect(printed).toMatch(/error status and read will not reach this broker: HW_CONTROL/)
  stop.abort()
  expect(await running).toBe(0)
})

test('an upstream that does not end is not waited for', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  try {
    const stuck = parts()
    const startSync = stuck.startSync
    const never: StartParts<RunningBroker> = {
      ...stuck,
      startSync: async (...args) => ({ ...(await startSync(...args)), close: () => new Promise(() => {}) }),
    }
    const running = runStart(context(), { program: 'headwater' }, never)
    await vi.waitFor(() => expect(printed).toContain('Ctrl-C'))
    stop.abort()
    let code: number | null = null
    void running.then((value) => {
      code = value
    })
    while (code === null) {
      await vi.advanceTimersByTimeAsync(1000)
      // The socket closes in real time.
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(code).toBe(0)
    expect(calls.at(-1)).toBe('close broker')
    expect(printed).toContain('an upstream does not end')
  } finally {
    vi.useRealTimers()
  }
})

test('at a reload retention waits for new upstreams before the broker takes up the rest, and not for those it refuses', async () => {
  const all = parts()
  const { startBroker, startSync } = all
  let hangUp = () => {}
  let isRefused = false
  const running = runStart(
    context(),
    { program: 'headwater' },
    {
      ...all,
      startBroker: async (...args) =>
        Object.assign(await startBroker(...args), {
          applyConfig: async () => {
            calls.push('apply broker')
            if (isRefused) throw new Error('refused')
            return { applied: [], needsRestart: [] }
          },
        }),
      startSync: async (...args) => ({
        ...(await startSync(...args)),
        expect() {
          calls.push('expect')
          return () => void calls.push('take back')
        },
        apply: async () => {
          calls.push('apply sync')
          return { applied: [], needsRestart: [] }
        },
      }),
      readAgain: async () => ({ config: all.loaded.config, warnings: [], secretKeys: [] }),
      onHangUp(reload) {
        hangUp = reload
        return () => {}
      },
    },
  )
  await vi.waitFor(() => expect(calls).toContain('demo'))
  calls.length = 0
  hangUp()
  await vi.waitFor(() => expect(calls).toEqual(['expect', 'apply broker', 'apply sync']))
  calls.length = 0
  isRefused = true
  hangUp()
  await vi.waitFor(() => expect(calls).toEqual(['expect', 'apply broker', 'take back']))
  stop.abort()
  await running
})
