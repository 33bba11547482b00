/** Eclipse Paho for C, compiled here; not run where it or a compiler is missing (`apt install gcc libpaho-mqtt-dev`). */
import { type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { until } from '../../log/support.ts'
import { dataDirectory, recordsIn, startBroker } from '../support.ts'

const SOURCE = fileURLToPath(new URL('./paho_c_client.c', import.meta.url))
const directory = mkdtempSync(join(tmpdir(), 'headwater-paho-c-'))
const PROGRAM = join(directory, 'client')

/** @returns why not, or null */
function compile(): string | null {
  const header = spawnSync('cc', ['-E', '-include', 'MQTTClient.h', '-x', 'c', '/dev/null'], {
    stdio: 'ignore',
  })
  if (header.error !== undefined) return 'there is no C compiler'
  if (header.status !== 0) return 'libpaho-mqtt-dev is not installed'
  const warnings = ['-Wall', '-Wextra', '-Werror']
  const built = spawnSync('cc', [...warnings, SOURCE, '-o', PROGRAM, '-lpaho-mqtt3c'], { encoding: 'utf8' })
  if (built.status !== 0) throw new Error(built.stderr)
  return null
}

const missing = compile()
if (missing !== null) console.warn(`Eclipse Paho for C: ${missing}; its tests are not run`)

const running = new Set<PahoClient>()
afterEach(() => {
  for (const client of running) client.kill()
  running.clear()
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

interface Options {
  readonly name: string
  readonly version: number
  readonly isClean?: boolean
}

class PahoClient {
  /** TOPIC QOS PAYLOAD of each. */
  readonly messages: string[] = []
  lost = 0
  readonly #child: ChildProcessByStdio<Writable, Readable, null>
  #onAnswer: (line: string) => void = () => {}

  constructor(port: number, { name, version, isClean = true }: Options) {
    const given = [port, version, name, isClean ? 1 : 0].map(String)
    this.#child = spawn(PROGRAM, given, { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#child.on('exit', (code, signal) => this.#onAnswer(`ended ${code ?? signal}`))
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      if (line.startsWith('message ')) this.messages.push(line.slice('message '.length))
      else if (line === 'lost') this.lost++
      else this.#onAnswer(line)
    })
    running.add(this)
  }

  /** One command at a time. @returns its number */
  async do(command: string): Promise<number> {
    const answer = new Promise<string>((resolve) => {
      this.#onAnswer = resolve
    })
    this.#child.stdin.write(`${command}\n`)
    const [said, code, number] = (await answer).split(' ')
    if (said !== 'done') throw new Error(`${command}: ${said} ${code}`)
    return Number(number)
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }
}

async function connected(port: number, options: Options): Promise<PahoClient> {
  const client = new PahoClient(port, options)
  await client.do('connect')
  return client
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

describe.runIf(missing === null)('Eclipse Paho for C', () => {
  for (const version of [3, 4, 5]) {
    it(`sends and receives with every QoS (version ${version})`, async () => {
      const { broker, port } = await startBroker()
      const receiver = await connected(port, { name: 'receiver', version })
      expect(await receiver.do('subscribe a/# 2')).toBe(2)
      const sender = await connected(port, { name: 'sender', version })
      for (const qos of [0, 1, 2]) await sender.do(`publish a/${qos} ${qos} v${qos}`)
      await until(() => receiver.messages.length >= 3, 'all have come')
      expect(receiver.messages.toSorted()).toEqual(['a/0 0 v0', 'a/1 1 v1', 'a/2 2 v2'])
      expect((await recordsIn(broker)).map(({ value }) => value).toSorted()).toEqual(['v0', 'v1', 'v2'])
      for (const client of [receiver, sender]) await client.do('disconnect')
    })

    it(`comes again after the broker was away, and gets each once what it missed (version ${version})`, async () => {
      const port = await freePort()
      const options = {
        data: dataDirectory(),
        change: (config: { mqtt: { listeners: { address: string }[] } }) => {
          config.mqtt.listeners = [{ address: `127.0.0.1:${port}` }]
        },
      }
      const first = await startBroker(options)
      const stays = await connected(port, { name: 'stays', version, isClean: false })
      await stays.do('subscribe a/# 2')
      const sender = await connected(port, { name: 'sender', version })
      await sender.do('publish a/b 2 before')
      await until(() => stays.messages.length === 1, 'the first has come')
      await stays.do('disconnect')
      for (const [n, qos] of [1, 2, 1, 2].entries()) await sender.do(`publish a/b ${qos} away${n}`)
      await first.broker.close()
      await until(() => sender.lost === 1, 'it sees that the connection has ended')
      const second = await startBroker(options)
      await sender.do('connect')
      await sender.do('publish a/b 2 again')
      // MQTT 3.1 has no word for it in CONNACK, and this library does not hand it over with MQTT 5
      expect(await stays.do('connect')).toBe(version === 4 ? 1 : 0)
      await until(() => stays.messages.length >= 6, 'all have come')
      const missed = [
        'a/b 1 away0',
        'a/b 1 away2',
        'a/b 2 again',
        'a/b 2 away1',
        'a/b 2 away3',
        'a/b 2 before',
      ]
      expect(stays.messages.toSorted()).toEqual(missed)
      expect(await recordsIn(second.broker)).toHaveLength(6)
    })
  }
})
