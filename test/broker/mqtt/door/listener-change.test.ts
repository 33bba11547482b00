/** From listeners to other listeners: what is bound, taken over, given free and closed, and in which order. */
import { beforeEach, describe, expect, it } from 'vitest'
import type { Listener, ListenerOptions } from '../../../../broker/mqtt/door/listener.ts'
import {
  ListenerChange,
  type Listening,
  planListeners,
} from '../../../../broker/mqtt/door/listener-change.ts'
import { RecordingSink } from '../../log/support.ts'

const TLS = { certFile: '/crt', keyFile: '/key', clientCaFile: null, requiresClientCertificate: false }
const on = (host: string | null, port: number, more: Partial<ListenerOptions> = {}): ListenerOptions => ({
  address: { host, port },
  tls: null,
  webSocketPath: null,
  ...more,
})
const local = on('127.0.0.1', 1883)
const everywhere = on(null, 1883)
const other = on('127.0.0.1', 1884)
const secure = on('127.0.0.1', 1883, { tls: TLS })

let done: string[]
let failing: string
let sink: RecordingSink
beforeEach(() => {
  done = []
  failing = ''
  sink = new RecordingSink()
})

const nameOf = ({ address: { host, port }, tls }: ListenerOptions) =>
  `${tls === null ? '' : 'tls '}${host ?? '*'}:${port}`

function fake(options: ListenerOptions): Listener {
  const name = nameOf(options)
  const note = (what: string) => {
    done.push(`${what} ${name}`)
    if (failing === `${what} ${name}`) throw new Error(`no ${what}`)
  }
  return {
    bound: name,
    prepare: async () => note('prepare'),
    bind: async () => note('bind'),
    open: () => note('open'),
    release: () => note('release'),
    close: async () => note('close'),
    succeed: ({ bound }: Listener) => note(`succeed ${bound} by`),
  } as unknown as Listener
}

const listening = (...all: ListenerOptions[]): Listening[] =>
  all.map((options) => ({ options, listener: fake(options) }))

function change(now: readonly Listening[], ...wanted: ListenerOptions[]): ListenerChange {
  return new ListenerChange(planListeners(now, wanted), fake, sink)
}

describe('a change of listeners', () => {
  it('binds what is new, opens it later, and leaves the others as they are', async () => {
    const now = listening(local)
    const found = change(now, other, local)
    await found.prepare()
    expect(done).toEqual(['prepare 127.0.0.1:1884', 'bind 127.0.0.1:1884'])
    const { listening: next, ended } = found.commit()
    expect(done.slice(2)).toEqual(['open 127.0.0.1:1884'])
    expect(ended).toEqual([])
    expect(next[1]).toBe(now[0])
    expect(next.map(({ listener }) => listener.bound)).toEqual(['127.0.0.1:1884', '127.0.0.1:1883'])
  })

  it('closes what is gone, and its connections are to end', async () => {
    const found = change(listening(local, other), other)
    await found.prepare()
    expect(found.commit().ended).toEqual(['127.0.0.1:1883'])
    expect(done).toEqual(['close 127.0.0.1:1883'])
  })

  it('takes an address over where its listener is another one', async () => {
    const found = change(listening(local), secure)
    await found.prepare()
    expect(done).toEqual(['prepare tls 127.0.0.1:1883'])
    expect(found.commit().ended).toEqual(['127.0.0.1:1883'])
    expect(done.slice(1)).toEqual(['succeed 127.0.0.1:1883 by tls 127.0.0.1:1883', 'open tls 127.0.0.1:1883'])
  })

  it.each([
    ['certificate files of other names end nobody', { ...TLS, certFile: '/new' }, 0],
    ['other authorities do', { ...TLS, clientCaFile: '/ca' }, 1],
    ['no TLS does', null, 1],
  ])('%s', async (_, tls, count) => {
    const found = change(listening(secure), on('127.0.0.1', 1883, { tls }))
    await found.prepare()
    expect(found.commit().ended).toHaveLength(count)
  })

  it('gives an address free that is in the way of a new one', async () => {
    const found = change(listening(local, other), everywhere, other)
    await found.prepare()
    expect(done).toEqual(['prepare *:1883', 'release 127.0.0.1:1883', 'bind *:1883'])
    expect(found.commit().ended).toEqual(['127.0.0.1:1883'])
  })

  it('that cannot bind one takes all of it back', async () => {
    failing = 'bind *:1883'
    const found = change(listening(local), on('127.0.0.1', 1999), everywhere)
    await expect(found.prepare()).rejects.toThrow('no bind')
    expect(done.slice(2)).toEqual([
      'bind 127.0.0.1:1999',
      'release 127.0.0.1:1883',
      'bind *:1883',
      'close 127.0.0.1:1999',
      'bind 127.0.0.1:1883',
    ])
    expect(sink.lines).toEqual([])
  })

  it('that is discarded does the same; an address that somebody else has by then is told', async () => {
    const found = change(listening(local), everywhere)
    await found.prepare()
    failing = 'bind 127.0.0.1:1883'
    await found.discard()
    expect(done.slice(-2)).toEqual(['close *:1883', 'bind 127.0.0.1:1883'])
    expect(sink.lines.map(({ level, message }) => [level, message])).toEqual([
      ['error', 'a listener could not have its address back'],
    ])
  })

  it('that cannot have its certificates binds nothing', async () => {
    failing = 'prepare tls 127.0.0.1:1884'
    const found = change(listening(local), local, on('127.0.0.1', 1999), on('127.0.0.1', 1884, { tls: TLS }))
    await expect(found.prepare()).rejects.toThrow('no prepare')
    expect(done.filter((what) => !what.startsWith('prepare'))).toEqual([])
  })

  it('keeps as many on ports of the system as there are to be', () => {
    const any = on('127.0.0.1', 0)
    const now = listening(any, any)
    const fewer = planListeners(now, [any])
    expect([fewer.next[0]!.kept, fewer.removed]).toEqual([now[0], [now[1]]])
    const more = planListeners(now, [any, any, any])
    expect(more.next.map(({ kept, replaced }) => [kept !== null, replaced])).toEqual([
      [true, null],
      [true, null],
      [false, null],
    ])
  })
})
