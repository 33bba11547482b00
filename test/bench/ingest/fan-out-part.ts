/** Messages out: ten publishers, ten subscribers that get all of it. */
import type { BarChart } from '../plots/bar-chart.ts'
import { interleaved } from '../progress.ts'
import { type Field, megabytes, section, significant, thousands, times } from '../report.ts'
import { medians, ratio } from '../statistics.ts'
import { type FanOutResult, runFanOut } from './fan-out.ts'
import type { Manner } from './manner.ts'
import {
  type Contenders,
  cellOf,
  checkKept,
  durations,
  type IngestOptions,
  MANNERS,
  type PartReport,
  serversOf,
} from './part.ts'

const PUBLISHERS = 10
const SUBSCRIBERS = 10
const WINDOW = 100

export interface FanOutCase {
  readonly name: string
  readonly manner: Manner
  readonly qos: 0 | 1
}

export const FAN_OUT_CASES: readonly FanOutCase[] = ([0, 1] as const).flatMap((qos) =>
  MANNERS.map((manner) => ({
    name: `fan-out-${qos}${manner === 'plain' ? '' : ' guarded'}`,
    manner,
    qos,
  })),
)

type Row = FanOutResult & {
  readonly case: string
  readonly server: string
  readonly deliveryRatio: number
  readonly cpuRatio: number
}

export async function fanOutPart(
  cases: readonly FanOutCase[],
  options: IngestOptions,
  contenders: Contenders,
): Promise<PartReport> {
  const servers = serversOf(contenders)
  const cells = cases.flatMap(({ name, manner, qos }) =>
    servers.map((server) =>
      cellOf(name, server, manner, async ({ port, pid, ...running }) => {
        const fan = { manner, qos, publishers: PUBLISHERS, subscribers: SUBSCRIBERS, window: WINDOW }
        const load = { ...fan, payloadBytes: options.size, ...durations(options) }
        const result = await runFanOut({ ...load, port, serverPid: pid })
        await checkKept({ port, pid, ...running }, result.messagesInAll)
        return result
      }),
    ),
  )
  const results = await interleaved(cells, options.runs)
  const rows = cases.flatMap((one, at) => rowsOf(one, servers, results.slice(at * servers.length)))
  return {
    sections: [section(`${PUBLISHERS} publishers, ${SUBSCRIBERS} subscribers on #`, FIELDS, rows)],
    notes: [
      `fan-out-0 and fan-out-1: QoS 0 and QoS 1 on both sides, a delivery is a message to one subscriber. A publisher goes on when every`,
      `subscriber has got its message of ${WINDOW} before: nothing is dropped or piles up, and Headwater has everything in its log.`,
    ],
    charts: [chartOf(rows)],
  }
}

function rowsOf(one: FanOutCase, servers: readonly { name: string }[], results: FanOutResult[][]): Row[] {
  const [own, peer] = results as [FanOutResult[], FanOutResult[] | undefined]
  return servers.map(({ name }, index) => {
    const against = (of: (result: FanOutResult) => number) =>
      index === 0 && servers.length === 2 ? ratio(own, peer!, of) : Number.NaN
    return {
      case: one.name,
      server: name,
      ...medians(results[index]!),
      deliveryRatio: against(({ deliveriesPerSecond }) => deliveriesPerSecond),
      cpuRatio: against(({ serverCpuUs }) => serverCpuUs),
    }
  })
}

const FIELDS: readonly Field<Row>[] = [
  { title: 'load', text: (row) => row.case },
  { title: 'server', text: (row) => row.server },
  { title: 'deliveries/s', align: 'right', text: (row) => thousands(row.deliveriesPerSecond) },
  { title: 'CPU us/delivery', align: 'right', text: (row) => significant(row.serverCpuUs) },
  { title: 'RSS MB', align: 'right', text: (row) => megabytes(row.rssBytes) },
  { title: 'peak', align: 'right', text: (row) => megabytes(row.rssPeakBytes) },
  { title: 'cores: server', align: 'right', text: (row) => significant(row.serverCpuShare) },
  { title: 'generator', align: 'right', text: (row) => significant(row.generatorCpuShare) },
  { title: 'against mosquitto', align: 'right', text: (row) => times(row.deliveryRatio) },
  { title: 'CPU', align: 'right', text: (row) => times(row.cpuRatio) },
]

function chartOf(rows: readonly Row[]): BarChart {
  const servers = [...new Set(rows.map(({ server }) => server))]
  const names = [...new Set(rows.map((row) => row.case))]
  return {
    kind: 'bars',
    file: 'fan-out.svg',
    title: 'Deliveries a second, 10 publishers to 10 subscribers on #',
    subtitle: 'guarded: MQTT 5, users, permissions, quotas',
    xLabel: '',
    yLabel: 'thousand deliveries a second',
    series: servers,
    groups: names.map((name) => ({
      name: `QoS ${name.replace('fan-out-', '').replace(' ', ', ')}`,
      values: servers.map((server) => {
        const row = rows.find((each) => each.case === name && each.server === server)
        return (row?.deliveriesPerSecond ?? Number.NaN) / 1000
      }),
    })),
  }
}
