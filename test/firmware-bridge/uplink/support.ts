/** A broker, and a bridge's uplink that can be killed at any point: what it had not synced is gone, its connections break off. */
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { withDefaults } from '../../../broker/config/schema-check.ts'
import { silentSink } from '../../../broker/log-sink.ts'
import type { RecordJson } from '../../../broker/operations/record-json.ts'
import type { UplinkConfig } from '../../../firmware-bridge/uplink/config.ts'
import { BrokerSchema, WindowSchema } from '../../../firmware-bridge/uplink/config.ts'
import { MqttUplink } from '../../../firmware-bridge/uplink/mqtt-uplink.ts'
import type {
  DeviceConnect,
  DownMessage,
  SessionListener,
  UplinkMessage,
} from '../../../firmware-bridge/uplink/uplink.ts'
import type { WindowChange, WindowDb } from '../../../firmware-bridge/uplink/window-db.ts'
import { BrokerProcess, CLI } from '../../support/broker-process.ts'
import { freePort } from '../../support/kafka/ports.ts'

export interface TestBroker {
  readonly port: number
  readonly process: BrokerProcess
  /** Payloads of a topic's records in the log, and their headers. */
  records(topic: string): Promise<{ payload: string; headers: Record<string, string> }[]>
  stop(): Promise<void>
}

export async function startBroker(): Promise<TestBroker> {
  const directory = await mkdtemp(join(tmpdir(), 'headwater-uplink-'))
  const port = await freePort()
  const config = join(directory, 'headwater.yaml')
  await writeFile(
    config,
    `edge: uplink-tests\ndata: ./data\nmqtt: { listeners: [{ address: "127.0.0.1:${port}" }] }\n` +
      'streams:\n  - { name: events, topics: ["#"], key: topic, partitions: 1 }\nupstreams: []\n',
  )
  const broker = new BrokerProcess(['--config', config])
  await broker.start()
  return {
    port,
    process: broker,
    async records(topic) {
      const args = [CLI, 'read', 'events', '--config', config]
      const { stdout } = await promisify(execFile)(process.execPath, args, { maxBuffer: 64 * 1024 * 1024 })
      return stdout
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as RecordJson)
        .filter((record) => record.topic === topic)
        .map(({ value, headers }) => ({
          payload: String(value),
          headers: Object.fromEntries(headers.map((header) => [header.key, String(header.value)])),
        }))
    },
    async stop() {
      await broker.end('SIGTERM')
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/** What was written with a sync survives `kill`; after it nothing is written any more, and nothing answers. */
export class MemoryWindowDb implements WindowDb {
  readonly kept: Map<string, Buffer>
  isFrozen = false
  /** Frozen once so many writes are done. */
  writesMax = Number.POSITIVE_INFINITY
  fault: Error | null = null
  writes = 0

  constructor(kept = new Map<string, Buffer>()) {
    this.kept = kept
  }

  async range({ from, to }: { from: Buffer; to: Buffer }): Promise<[Buffer, Buffer][]> {
    return [...this.kept]
      .map(([key, value]): [Buffer, Buffer] => [Buffer.from(key, 'hex'), value])
      .filter(([key]) => key.compare(from) >= 0 && key.compare(to) < 0)
      .sort(([a], [b]) => a.compare(b))
  }

  async write(changes: readonly WindowChange[], isSynced: boolean): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
    if (this.isFrozen || this.writes >= this.writesMax) return new Promise(() => {})
    if (this.fault !== null) throw this.fault
    this.writes++
    if (!isSynced) return
    for (const [key, value] of changes) {
      if (value === null) this.kept.delete(key.toString('hex'))
      else this.kept.set(key.toString('hex'), value)
    }
  }

  async close(): Promise<void> {}
}

export function uplinkConfig(port: number, more: Partial<UplinkConfig> = {}): UplinkConfig {
  return {
    broker: {
      ...(withDefaults(BrokerSchema, {}) as UplinkConfig['broker']),
      url: `mqtt://127.0.0.1:${port}`,
    },
    sessions: 'device',
    clientIdPrefix: '',
    bridgeClientId: 'headwater-bridge-test',
    window: withDefaults(WindowSchema, {}) as UplinkConfig['window'],
    ...more,
  }
}

export async function startUplink(
  port: number,
  db: WindowDb,
  more: Partial<UplinkConfig> = {},
): Promise<MqttUplink> {
  const uplink = await MqttUplink.start({ config: uplinkConfig(port, more), db, log: silentSink, will: null })
  await until(() => uplink.isUp)
  return uplink
}

export async function until(condition: () => boolean | Promise<boolean>, msMax = 20_000): Promise<void> {
  const end = Date.now() + msMax
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`waited in vain for: ${condition}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** What a device is told; acknowledges all at once unless told otherwise. */
export class TestDevice implements SessionListener {
  readonly messages: DownMessage[] = []
  readonly ends: string[] = []
  acknowledge: (message: DownMessage) => Promise<void> = async () => {}

  onMessage(message: DownMessage): Promise<void> {
    this.messages.push(message)
    return this.acknowledge(message)
  }

  onEnded(reason: string): void {
    this.ends.push(reason)
  }
}

export function connectOf(clientId: string, more: Partial<DeviceConnect> = {}): DeviceConnect {
  return { clientId, isClean: false, keepAliveSeconds: 60, will: null, listener: new TestDevice(), ...more }
}

export function message(topic: string, payload: string, more: Partial<UplinkMessage> = {}): UplinkMessage {
  const plain = { qos: 1, isRetained: false, messageId: 1, isDup: false, properties: {} } as const
  return { topic, payload: Buffer.from(payload), ...plain, ...more }
}
