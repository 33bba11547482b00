/** Eclipse Paho for Python, as devices have it; not run where it is not installed (`apt install python3-paho-mqtt`). */
import { type ChildProcessByStdio, execFileSync, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import { until } from '../../log/support.ts'
import { dataDirectory, recordsIn, startBroker } from '../support.ts'

const CLIENT = fileURLToPath(new URL('./paho_client.py', import.meta.url))

/** Distributions' packages are those of the system's own Python. */
function pythonWithPaho(): string | null {
  const has = (python: string) => {
    try {
      execFileSync(python, ['-c', 'import paho.mqtt.client'], { stdio: 'ignore' })
      return true
    } catch {
      return false
    }
  }
  return ['python3', '/usr/bin/python3'].find(has) ?? null
}

const PYTHON = pythonWithPaho()
if (PYTHON === null) console.warn('Eclipse Paho for Python is not installed: its tests are not run')

interface Message {
  readonly topic: string
  readonly payload: string
  readonly qos: number
  readonly retain: boolean
  readonly properties: Record<string, unknown>
}

type Said = { done: unknown } | { failed: string } | { message: Message } | { lost: number }

const running = new Set<PahoClient>()
afterEach(() => {
  for (const client of running) client.kill()
  running.clear()
})

class PahoClient {
  readonly messages: Message[] = []
  readonly lost: number[] = []
  readonly #child: ChildProcessByStdio<Writable, Readable, null>
  #onAnswer: ((said: { done: unknown } | { failed: string }) => void) | null = null

  constructor(port: number) {
    this.#child = spawn(PYTHON!, [CLIENT, String(port)], { stdio: ['pipe', 'pipe', 'inherit'] })
    createInterface({ input: this.#child.stdout }).on('line', (line) => this.#heard(JSON.parse(line)))
    running.add(this)
  }

  #heard(said: Said): void {
    if ('message' in said) this.messages.push(said.message)
    else if ('lost' in said) this.lost.push(said.lost)
    else this.#onAnswer?.(said)
  }

  /** One command at a time. */
  async do(command: object): Promise<unknown> {
    const answer = new Promise<{ done: unknown } | { failed: string }>((resolve) => {
      this.#onAnswer = resolve
    })
    this.#child.stdin.write(`${JSON.stringify(command)}\n`)
    const said = await answer
    if ('failed' in said) throw new Error(said.failed)
    return said.done
  }

  payloads(): string[] {
    return this.messages.map(({ payload }) => payload)
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }
}

async function connected(port: number, options: object): Promise<PahoClient> {
  const client = new PahoClient(port)
  expect(await client.do({ do: 'connect', ...options })).toMatchObject({ code: 0 })
  return client
}

describe.runIf(PYTHON !== null)('Eclipse Paho for Python', () => {
  for (const version of [3, 4, 5]) {
    it(`sends and receives with every QoS (version ${version})`, async () => {
      const { broker, port } = await startBroker()
      const receiver = await connected(port, { client: 'receiver', version })
      expect(await receiver.do({ do: 'subscribe', filter: 'a/#', qos: 2 })).toEqual([2])
      const sender = await connected(port, { client: 'sender', version })
      for (const qos of [0, 1, 2]) {
        const message = { topic: `a/${qos}`, payload: `v${qos}`, qos }
        expect(await sender.do({ do: 'publish', ...message })).toBe(true)
      }
      await until(() => receiver.messages.length >= 3, 'all have come')
      expect(receiver.messages.map(({ topic, payload, qos }) => [topic, payload, qos])).toEqual([
        ['a/0', 'v0', 0],
        ['a/1', 'v1', 1],
        ['a/2', 'v2', 2],
      ])
      expect((await recordsIn(broker)).map(({ value }) => value).toSorted()).toEqual(['v0', 'v1', 'v2'])
    })

    it(`gets what came while it was away and the broker started anew (version ${version})`, async () => {
      const data = dataDirectory()
      const first = await startBroker({ data })
      const session = { client: 'stays', version, clean: false, expiry: 3600 }
      const before = await connected(first.port, session)
      await before.do({ do: 'subscribe', filter: 'a/#', qos: 2 })
      await before.do({ do: 'disconnect' })
      const sender = await connected(first.port, { client: 'sender', version })
      for (const [n, qos] of [1, 2, 1].entries()) {
        await sender.do({ do: 'publish', topic: 'a/b', payload: String(n), qos })
      }
      sender.kill()
      await first.broker.close()
      const second = await startBroker({ data })
      const after = new PahoClient(second.port)
      // MQTT 3.1 has no word for it in CONNACK
      const answer = await after.do({ do: 'connect', ...session })
      expect(answer).toEqual({ code: 0, session: version === 3 ? 0 : 1 })
      await until(() => after.messages.length >= 3, 'all have come')
      // Paho hands a message of QoS 2 over with its PUBREL: one of QoS 1 behind it can be told first
      expect(after.messages.map(({ payload, qos }) => [payload, qos]).toSorted()).toEqual([
        ['0', 1],
        ['1', 2],
        ['2', 1],
      ])
    })
  }

  it('properties of MQTT 5 come as they were sent', async () => {
    const { port } = await startBroker()
    const receiver = await connected(port, { client: 'receiver', version: 5 })
    await receiver.do({ do: 'subscribe', filter: '#', qos: 1 })
    const sender = await connected(port, { client: 'sender', version: 5 })
    const properties = {
      PayloadFormatIndicator: 1,
      ContentType: 'text/plain',
      ResponseTopic: 'answers',
      CorrelationData: '00ff10',
      MessageExpiryInterval: 60,
      UserProperty: [
        ['unit', 'C'],
        ['unit', 'K'],
      ],
    }
    await sender.do({ do: 'publish', topic: 'a', payload: 'v', qos: 1, properties })
    await until(() => receiver.messages.length >= 1, 'it has come')
    const { MessageExpiryInterval, ...others } = receiver.messages[0]!.properties
    const { MessageExpiryInterval: _sent, ...sent } = properties
    expect(others).toEqual(sent)
    expect([58, 59, 60]).toContain(MessageExpiryInterval)
  })

  it('a retained message is given to who comes later', async () => {
    const { port } = await startBroker()
    const sender = await connected(port, { client: 'sender', version: 5 })
    await sender.do({ do: 'publish', topic: 'state', payload: 'on', qos: 1, retain: true })
    const late = await connected(port, { client: 'late', version: 4 })
    await late.do({ do: 'subscribe', filter: 'state', qos: 1 })
    await until(() => late.messages.length >= 1, 'it has come')
    expect(late.messages).toMatchObject([{ payload: 'on', retain: true }])
  })

  for (const version of [4, 5]) {
    it(`the will of a client that is killed is published, that of one that says goodbye is not (version ${version})`, async () => {
      const { port } = await startBroker()
      const watcher = await connected(port, { client: 'watcher', version })
      await watcher.do({ do: 'subscribe', filter: 'wills/#', qos: 1 })
      const will = (name: string) => ({ topic: `wills/${name}`, payload: name, qos: 1 })
      const polite = await connected(port, { client: 'polite', version, will: will('polite') })
      await polite.do({ do: 'disconnect' })
      const killed = await connected(port, { client: 'killed', version, will: will('killed') })
      killed.kill()
      await until(() => watcher.messages.length > 0, 'the will has come')
      expect(watcher.payloads()).toEqual(['killed'])
    })
  }

  it('a client that comes back takes over, and the one before it is told', async () => {
    const { port } = await startBroker()
    const first = await connected(port, { client: 'one', version: 5 })
    await connected(port, { client: 'one', version: 5 })
    await until(() => first.lost.length > 0, 'the first one has ended')
    expect(first.lost[0]).toBe(0x8e)
  })
})
