/** When and how one connection is replaced by another, on a fake of the client library's. */
import { EventEmitter } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Connection } from '@platformatic/kafka'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Clock, systemClock } from '../../../sync/clock.ts'
import { unwatchedClock } from '../../../sync/clock-reading.ts'
import { Connections } from '../../../sync/kafka/connections.ts'
import { Credentials } from '../../../sync/kafka/credentials.ts'
import { LinkMeter } from '../../../sync/kafka/link-meter.ts'
import { Secrets } from '../../../sync/secrets.ts'
import { secretFile } from './security-setup.ts'

type Answer = (error: Error | null, answer?: unknown) => void

/** Answers what frames.ts asks at once, and the rest when the test says so. */
class FakeSocket extends EventEmitter {
  destroyed = false
  mute = false
  cork() {}
  uncork() {}
  write(bytes: Buffer) {
    const correlation = bytes.readInt32BE(8)
    const answer = Buffer.alloc(9)
    answer.writeInt32BE(5, 0)
    answer.writeInt32BE(correlation, 4)
    if (!this.mute) setImmediate(() => this.emit('data', answer))
  }
  destroy() {
    if (this.destroyed) return
    this.destroyed = true
    this.emit('close')
  }
}

const made: FakeConnection[] = []
let connecting: (connection: FakeConnection) => Promise<void> = async () => {}

class FakeConnection extends EventEmitter {
  readonly socket = new FakeSocket()
  readonly password: unknown
  readonly waiting: Answer[] = []
  constructor(_: string, { sasl }: { sasl: { password: unknown } }) {
    super()
    this.password = sasl.password
    this.socket.on('close', () => this.emit('close'))
    made.push(this)
  }
  connect = () => connecting(this)
  close = async () => {}
  reauthenticate() {}
  send(...args: unknown[]) {
    this.waiting.push(args.at(-1) as Answer)
  }
}

/** Tells when its files are looked at. */
class WatchedCredentials extends Credentials {
  begun = 0
  ended = 0
  override async load() {
    this.begun++
    try {
      return await super.load()
    } finally {
      this.ended++
    }
  }
}

describe('connections', () => {
  let directory: string
  let passwordFile: string
  let now = 0
  let failures: unknown[]
  let renewed = 0
  let credentials: WatchedCredentials
  let connections: Connections
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'headwater-connections-'))
    passwordFile = await secretFile(directory, 'password', 'one')
    now = 0
    failures = []
    renewed = 0
    made.length = 0
    connecting = async () => {}
    const clock: Clock = { ...systemClock, monotonic: () => now }
    const deps = { secrets: new Secrets({}, null, ''), clock, readClock: unwatchedClock }
    const sasl = { mechanism: 'PLAIN', username: 'u', passwordFile } as const
    credentials = new WatchedCredentials({ sasl }, deps)
    connections = new Connections(FakeConnection as unknown as typeof Connection, {
      clientId: 'test',
      connection: { requestTimeout: 1000 },
      configured: new Set(),
      credentials,
      clock,
      onRenewFailed: (error) => failures.push(error),
      onRenewed: () => renewed++,
      meter: new LinkMeter(),
    })
  })
  afterEach(async () => {
    connections.close()
    await rm(directory, { recursive: true })
  })

  const get = async () => (await connections.get('h', 1)).connection as unknown as FakeConnection
  async function until(isTrue: () => boolean): Promise<void> {
    for (let tries = 0; !isTrue(); tries++) {
      if (tries > 2000) throw new Error('it did not come true')
      await sleep(1)
    }
  }
  async function change(password: string): Promise<void> {
    await secretFile(directory, 'password', password)
    now += 31_000
    await get()
  }
  /** Resolves once the look that has begun is over, and what follows at once from it. */
  async function looked(): Promise<void> {
    do await sleep(1)
    while (credentials.ended < credentials.begun)
  }
  async function failAgain(): Promise<void> {
    expect(failures).toEqual([])
    await until(() => {
      now += 2100
      void get()
      return failures.length > 0
    })
  }

  it('stay while no file changes, and while it is not time to look', async () => {
    const first = await get()
    await secretFile(directory, 'password', 'two')
    now += 29_000
    await get()
    await sleep(20)
    expect(made).toHaveLength(1)
    await secretFile(directory, 'password', 'one')
    now += 29_000
    await get()
    await sleep(20)
    expect(await get()).toBe(first)
    expect(made).toHaveLength(1)
  })

  it('are replaced when a password has changed; what is under way ends first, and what comes next waits for that', async () => {
    const first = await get()
    let answered = ''
    first.send(0, 0, () => {
      answered += 'old '
    })
    await change('two')
    await until(() => made.length === 2)
    const second = made[1]!
    expect(second.password).toBe('two')
    const waits = () => Promise.race([get().then(() => false), sleep(5, true)])
    while (!(await waits())) await sleep(1)
    let given: FakeConnection | null = null
    const next = get().then((connection) => {
      given = connection
    })
    await sleep(20)
    expect({ answered, given, destroyed: first.socket.destroyed }).toEqual({
      answered: '',
      given: null,
      destroyed: false,
    })
    first.waiting[0]!(null, {})
    await next
    expect({ answered, destroyed: first.socket.destroyed }).toEqual({ answered: 'old ', destroyed: true })
    expect(given).toBe(second)
    expect(failures).toEqual([])
  })

  it('go on when the new one is refused, and are replaced once it is taken', async () => {
    const first = await get()
    connecting = async () => {
      throw Object.assign(new Error('no'), { code: 'PLT_KFK_AUTHENTICATION' })
    }
    await change('two')
    await failAgain()
    expect(failures).toMatchObject([{ fault: 'auth' }])
    expect(await get()).toBe(first)
    expect(first.socket.destroyed).toBe(false)
    connecting = async () => {}
    now += 31_000
    await get()
    await until(() => first.socket.destroyed)
    expect((await get()).password).toBe('two')
    expect({ failures: failures.length, renewed }).toEqual({ failures: 1, renewed: 1 })
  })

  it('say nothing of a failure that a second look, two seconds later, does not find any more', async () => {
    const first = await get()
    await change('')
    await looked()
    const { begun } = credentials
    now += 1900
    await get()
    expect(credentials.begun).toBe(begun)
    await secretFile(directory, 'password', 'two')
    now += 200
    await get()
    await until(() => first.socket.destroyed)
    expect((await get()).password).toBe('two')
    expect({ failures, renewed }).toEqual({ failures: [], renewed: 0 })
  })

  it('begin anew with the first look where the files are the old ones again', async () => {
    await get()
    for (const password of ['', 'one', '']) {
      await change(password)
      await looked()
    }
    expect({ failures, renewed, made: made.length }).toEqual({ failures: [], renewed: 0, made: 1 })
  })

  it('count each that goes away by itself once', async () => {
    const first = await get()
    first.socket.destroy()
    const second = await get()
    expect(connections.lost).toBe(1)
    second.socket.destroy()
    expect(connections.lost).toBe(2)
  })

  it('are not replaced by one that ends before it has answered anything, as TLS 1.3 ends one with a refused certificate', async () => {
    const first = await get()
    connecting = async (connection) => {
      connection.socket.mute = true
      setTimeout(() => connection.socket.destroy(), 5)
    }
    await change('two')
    await failAgain()
    expect(await get()).toBe(first)
    expect(first.socket.destroyed).toBe(false)
  })

  it('are replaced when their login is about to end, without the library logging in among requests', async () => {
    const first = await get()
    first.reauthenticate()
    await get()
    await until(() => first.socket.destroyed)
    expect(await get()).toBe(made[1])
    expect(failures).toEqual([])
  })

  it('are two at no time: where one broke while it was to be replaced, the one opened since stays', async () => {
    const first = await get()
    first.send(0, 0, () => {})
    await change('two')
    await until(() => made.length === 2)
    const waiting = get()
    await sleep(20)
    first.socket.destroy()
    const third = await get()
    first.waiting[0]!(new Error('the connection closed'))
    expect(third).toBe(made[2])
    expect(await waiting).toBe(third)
    await until(() => made[1]!.socket.destroyed)
    expect(await get()).toBe(third)
    connections.close()
    expect(made.map(({ socket }) => socket.destroyed)).toEqual([true, true, true])
  })

  it('are all broken by close, those that are about to stand, too', async () => {
    const first = await get()
    let stands: () => void = () => {}
    connecting = () => new Promise((resolve) => (stands = resolve))
    await change('two')
    await until(() => made.length === 2)
    connections.close()
    stands()
    await sleep(10)
    expect([first.socket.destroyed, made[1]!.socket.destroyed]).toEqual([true, true])
    await expect(connections.get('h', 1)).rejects.toMatchObject({ fault: 'broken' })
    expect(failures).toEqual([])
  })
})
