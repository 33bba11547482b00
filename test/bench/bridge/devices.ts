/** 200 devices on UDP through the bridge to the broker, beside as many MQTT clients of the broker at the same rate. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort } from '../../support/kafka/ports.ts'
import { runJob, startProgram } from '../children.ts'
import { startHeadwater } from '../ingest/headwater.ts'
import { topicOf } from '../ingest/manner.ts'
import { checkKept } from '../ingest/part.ts'
import { type RunningServer, running } from '../ingest/server.ts'
import { type BenchOptions, profileFlags } from '../options.ts'
import { interleaved } from '../progress.ts'
import { type Field, megabytes, type Section, section, significant, times } from '../report.ts'
import { Scratch } from '../scratch.ts'
import { medians, ratio } from '../statistics.ts'
import type { DevicesJob, DevicesResult } from './devices-worker.ts'

const DEVICES = 200
const PER_SECOND = 10
const PAYLOAD_BYTES = 17
const WORKER = new URL('./devices-worker.js', import.meta.url)
/** With the settings that operators have. */
const COMMAND = fileURLToPath(new URL('../../../../bin/headwater-bridge', import.meta.url))
/** For a profile, whose flag Node takes from no environment: what the command gives Node. */
const NODE_FLAGS = ['--max-semi-space-size=1', '--no-parallel-scavenge']
const MAIN = fileURLToPath(new URL('../../../bridge.js', import.meta.url))

interface Row extends DevicesResult {
  readonly case: string
  readonly p99Times: number
}

const FIELDS: readonly Field<Row>[] = [
  { title: 'CASE', text: (row) => row.case },
  { title: 'p50 ms', align: 'right', text: (row) => significant(row.p50Ms) },
  { title: 'p99 ms', align: 'right', text: (row) => significant(row.p99Ms) },
  { title: "p99 against broker's", align: 'right', text: (row) => times(row.p99Times) },
  { title: 'CPU us/msg', align: 'right', text: (row) => significant(row.cpuUs) },
  { title: 'RSS max MB', align: 'right', text: (row) => megabytes(row.rssPeakBytes) },
]

export async function devices({ runs, quick, dir, profile }: BenchOptions): Promise<Section> {
  const scratch = new Scratch(dir)
  const load = {
    devices: DEVICES,
    perSecond: PER_SECOND,
    payloadBytes: PAYLOAD_BYTES,
    warmSeconds: quick ? 2 : 5,
    seconds: quick ? 3 : 10,
  }
  const cells = [
    { name: 'MQTT clients of the broker', measure: () => toBroker(scratch, load) },
    {
      name: 'devices on UDP, by the bridge',
      measure: () => throughBridge(scratch, load, profileFlags(profile)),
    },
  ]
  try {
    const results = await interleaved(cells, runs)
    const rows = cells.map(({ name }, at): Row => {
      const p99Times = ratio(results[at]!, results[0]!, ({ p99Ms }) => p99Ms)
      return { case: name, ...medians(results[at]!), p99Times }
    })
    return section(
      `${DEVICES} devices, ${PER_SECOND} messages of ${PAYLOAD_BYTES} B a second each, QoS 1`,
      FIELDS,
      rows,
    )
  } finally {
    scratch.remove()
  }
}

type Load = Omit<DevicesJob, 'kind' | 'port' | 'pid'>

async function toBroker(scratch: Scratch, load: Load): Promise<DevicesResult> {
  const broker = await startHeadwater(scratch, [])
  try {
    const { port, pid } = broker
    const result = await runJob<DevicesJob, DevicesResult>(WORKER, { ...load, kind: 'mqtt', port, pid })
    await checkKept(broker, result.messagesInAll)
    return result
  } finally {
    await broker.stop()
  }
}

async function throughBridge(scratch: Scratch, load: Load, flags: readonly string[]): Promise<DevicesResult> {
  const broker = await startHeadwater(scratch, [])
  try {
    const bridge = await startBridge(scratch, broker.port, flags)
    let result: DevicesResult
    try {
      const { port, pid } = bridge
      result = await runJob<DevicesJob, DevicesResult>(WORKER, { ...load, kind: 'udp', port, pid })
    } finally {
      await bridge.stop()
    }
    await checkKept(broker, result.messagesInAll)
    return result
  } finally {
    await broker.stop()
  }
}

/** @returns with the UDP port as its port */
async function startBridge(
  scratch: Scratch,
  brokerPort: number,
  flags: readonly string[],
): Promise<RunningServer> {
  const directory = scratch.fresh('bridge')
  mkdirSync(directory)
  const [port, statusPort] = [await freePort(), await freePort()]
  const config = join(directory, 'bridge.yaml')
  // JSON is YAML
  const settings = {
    data: join(directory, 'data'),
    broker: { url: `mqtt://127.0.0.1:${brokerPort}` },
    topics: { predefined: { 1: topicOf(0).replace('dev-00000', '%c') } },
    links: [{ kind: 'udp', address: `127.0.0.1:${port}` }],
    // its own messages would be among those in the log
    status: { address: `127.0.0.1:${statusPort}`, topicPrefix: '' },
  }
  writeFileSync(config, JSON.stringify(settings))
  const start = ['start', '--config', config]
  const program =
    flags.length === 0
      ? startProgram(COMMAND, start)
      : startProgram(process.execPath, [...flags, ...NODE_FLAGS, MAIN, ...start])
  const bridge = await running(program, statusPort, () => scratch.discard(directory))
  return { ...bridge, port }
}
