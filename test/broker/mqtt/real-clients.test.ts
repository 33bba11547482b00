/** Clients that exist: mqtt.js; mosquitto_pub and mosquitto_sub, and Eclipse Paho in Python, where they are installed. */
import { execFile, spawn, spawnSync } from 'node:child_process'
import { type EventEmitter, once } from 'node:events'
import { promisify } from 'node:util'
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt'
import { afterEach, describe, expect, it } from 'vitest'
import { until } from '../log/support.ts'
import { dataDirectory, recordsIn, startBroker } from './support.ts'

const run = promisify(execFile)
// mqtt.js has an emitter of its own, whose types `once` does not know
const onceOf = (client: MqttClient, event: string) => once(client as unknown as EventEmitter, event)
const clients: MqttClient[] = []
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.endAsync(true)))
})

const VERSIONS = [
  { name: '3.1', protocolId: 'MQIsdp', protocolVersion: 3 },
  { name: '3.1.1', protocolId: 'MQTT', protocolVersion: 4 },
  { name: '5', protocolId: 'MQTT', protocolVersion: 5 },
] as const
const COUNT = 100
const range = Array.from({ length: COUNT }, (_, i) => i)

async function connect(port: number, options: IClientOptions): Promise<MqttClient> {
  const client = await mqtt.connectAsync({ host: '127.0.0.1', port, reconnectPeriod: 0, ...options })
  client.on('error', () => {})
  clients.push(client)
  return client
}

describe.each(VERSIONS)('mqtt.js with MQTT $name', ({ protocolId, protocolVersion }) => {
  it('publishes and takes messages of each QoS, each once and in order, and all are in the log', async () => {
    const { broker, port } = await startBroker()
    const version = { protocolId, protocolVersion }
    const subscriber = await connect(port, {
      ...version,
      clientId: 'sub',
      properties: { topicAliasMaximum: 2, receiveMaximum: 5 },
    })
    const arrived: Record<number, number[]> = { 0: [], 1: [], 2: [] }
    subscriber.on('message', (_topic, payload, { qos }) => arrived[qos]!.push(Number(payload)))
    await subscriber.subscribeAsync('q/#', { qos: 2 })
    const publisher = await connect(port, {
      ...version,
      clientId: 'pub',
      autoUseTopicAlias: true,
      autoAssignTopicAlias: true,
    })
    const sent = range.flatMap((i) =>
      ([0, 1, 2] as const).map((qos) => publisher.publishAsync(`q/${qos}`, `${i}`, { qos })),
    )
    await Promise.all(sent)
    await until(() => Object.values(arrived).every(({ length }) => length >= COUNT), 'all have come')
    expect(arrived).toEqual({ 0: range, 1: range, 2: range })
    const stored = await recordsIn(broker)
    for (const qos of [0, 1, 2]) {
      expect(stored.filter(({ topic }) => topic === `q/${qos}`).map(({ value }) => Number(value))).toEqual(
        range,
      )
    }
  })

  it('finds its session after a restart of the broker: its subscriptions, and what came meanwhile', async () => {
    const data = dataDirectory()
    const { broker, port } = await startBroker({ data })
    const options: IClientOptions = {
      protocolId,
      protocolVersion,
      clientId: 'stays',
      clean: false,
      properties: { sessionExpiryInterval: 1000 },
    }
    const client = await connect(port, options)
    await client.subscribeAsync('q/#', { qos: 1 })
    await client.endAsync()
    const publisher = await connect(port, { clientId: 'pub' })
    await publisher.publishAsync('q/a', 'before the restart', { qos: 1 })
    await broker.close()

    const again = await startBroker({ data })
    const later = await connect(again.port, { clientId: 'pub' })
    await later.publishAsync('q/a', 'after it', { qos: 1 })
    const back = mqtt.connect({ host: '127.0.0.1', port: again.port, reconnectPeriod: 0, ...options })
    clients.push(back)
    const arrived: string[] = []
    back.on('message', (_topic, payload) => arrived.push(payload.toString()))
    const [connack] = await onceOf(back, 'connect')
    // 3.1 does not tell
    if (protocolVersion !== 3) expect(connack.sessionPresent).toBe(true)
    await until(() => arrived.length >= 2, 'both have come')
    expect(arrived).toEqual(['before the restart', 'after it'])
  })
})

it('mqtt.js with MQTT 5 carries properties from one client to another', async () => {
  const { port } = await startBroker()
  const version = { protocolVersion: 5 } as const
  const subscriber = await connect(port, version)
  const arrived = onceOf(subscriber, 'message')
  await subscriber.subscribeAsync('q', { qos: 1, properties: { subscriptionIdentifier: 7 } })
  const properties = {
    payloadFormatIndicator: true,
    contentType: 'text/plain',
    responseTopic: 'answers/1',
    correlationData: Buffer.from([1, 2]),
    userProperties: { traceparent: '00-1' },
  }
  await (await connect(port, version)).publishAsync('q', 'v', { qos: 1, properties })
  const [, , packet] = await arrived
  expect(packet.properties).toEqual({
    ...properties,
    userProperties: expect.objectContaining({ traceparent: '00-1' }),
    subscriptionIdentifier: 7,
  })
})

const isInstalled = (command: string, args: string[]) => spawnSync(command, args).error === undefined

describe.runIf(isInstalled('mosquitto_sub', ['--help']))('mosquitto_pub and mosquitto_sub', () => {
  it.each(['mqttv31', 'mqttv311', 'mqttv5'])(
    'with %s take messages of each QoS and retained ones',
    async (version) => {
      const { port } = await startBroker()
      const common = ['-h', '127.0.0.1', '-p', String(port), '-V', version]
      const publish = (...args: string[]) => run('mosquitto_pub', [...common, '-t', 'm/x', ...args])
      await publish('-q', '1', '-r', '-m', 'kept')
      const child = spawn('mosquitto_sub', [...common, '-q', '2', '-t', 'm/#', '-C', '4', '-F', '%r %q %p'])
      let out = ''
      child.stdout.on('data', (chunk) => {
        out += chunk
      })
      const ended = once(child, 'exit')
      await until(() => out.includes('kept'), 'the retained message has come')
      for (const qos of ['0', '1', '2']) await publish('-q', qos, '-m', `v${qos}`)
      expect((await ended)[0]).toBe(0)
      expect(out.trim().split('\n')).toEqual(['1 1 kept', '0 0 v0', '0 1 v1', '0 2 v2'])
    },
  )
})

const PAHO = `
import paho.mqtt.client as mqtt, sys, threading
port, proto = int(sys.argv[1]), {'3.1': mqtt.MQTTv31, '3.1.1': mqtt.MQTTv311, '5': mqtt.MQTTv5}[sys.argv[2]]
new = (lambda name: mqtt.Client(mqtt.CallbackAPIVersion.VERSION1, name, protocol=proto)) if hasattr(mqtt, 'CallbackAPIVersion') else (lambda name: mqtt.Client(name, protocol=proto))
got, done, subscribed = [], threading.Event(), threading.Event()
s = new('paho-sub')
s.on_message = lambda c, u, m: (got.append((m.qos, int(m.payload))), done.set() if len(got) == 90 else None)
s.on_subscribe = lambda *a: subscribed.set()
s.connect('127.0.0.1', port); s.loop_start(); s.subscribe('p/#', 2); subscribed.wait(20)
p = new('paho-pub'); p.connect('127.0.0.1', port); p.loop_start()
for info in [p.publish('p/%d' % q, str(i), qos=q) for i in range(30) for q in (0, 1, 2)]: info.wait_for_publish()
done.wait(20)
print(sorted(got) == sorted((q, i) for i in range(30) for q in (0, 1, 2)), all([i for q, i in got if q == w] == list(range(30)) for w in (0, 1, 2)))
p.disconnect(); s.disconnect(); p.loop_stop(); s.loop_stop()
`
const python = '/usr/bin/python3'
const hasPaho = spawnSync(python, ['-c', 'import paho.mqtt.client']).status === 0

describe.runIf(hasPaho)('Eclipse Paho in Python', () => {
  it.each(['3.1', '3.1.1', '5'])(
    'with MQTT %s publishes and takes messages of each QoS, once and in order',
    async (version) => {
      const { port } = await startBroker()
      const { stdout } = await run(python, ['-W', 'ignore', '-c', PAHO, String(port), version], {
        timeout: 60_000,
      })
      expect(stdout.trim()).toBe('True True')
    },
  )
})
