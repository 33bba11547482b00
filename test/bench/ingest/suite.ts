/** MQTT beside mosquitto, where it is installed: messages in, messages out, memory; with an open door and with a guarded one. */
import { chosen, profileFlags } from '../options.ts'
import { type Chart, writeCharts } from '../plots/plots.ts'
import type { Report } from '../report.ts'
import { Scratch } from '../scratch.ts'
import { FAN_OUT_CASES, type FanOutCase, fanOutPart } from './fan-out-part.ts'
import { headwater } from './headwater.ts'
import { LOAD_CASES, type LoadCase, loadPart } from './load-part.ts'
import { MEMORY_CASES, type MemoryCase, memoryPart } from './memory-part.ts'
import { mosquitto } from './mosquitto.ts'
import type { Contenders, IngestOptions, PartReport } from './part.ts'

const PLOTS = 'docs/bench'

export async function ingest(options: IngestOptions): Promise<Report> {
  const scratch = new Scratch(options.dir)
  try {
    const contenders: Contenders = {
      own: headwater(scratch, profileFlags(options.profile)),
      peer: mosquitto(scratch),
    }
    const parts = await measured(options, contenders)
    const { plots } = options
    const charts: Chart[] = parts.flatMap((part) => part.charts)
    const files = plots === undefined ? [] : writeCharts(charts, plots === true ? PLOTS : plots)
    const notes = [
      ...parts.flatMap((part) => part.notes),
      ...(contenders.peer === null
        ? ['No mosquitto here, so nothing to compare with: install it (apt install mosquitto).']
        : []),
      ...scratch.notes(),
      ...(files.length > 0 ? [`Drawn: ${files.join(', ')}`] : []),
    ]
    return { bench: 'ingest', options, sections: parts.flatMap(({ sections }) => sections), notes }
  } finally {
    scratch.remove()
  }
}

async function measured(options: IngestOptions, contenders: Contenders): Promise<PartReport[]> {
  const wanted = chosen([...LOAD_CASES, ...FAN_OUT_CASES, ...MEMORY_CASES], options.only)
  const loads = wanted.filter((one): one is LoadCase => 'entry' in one)
  const fanOuts = wanted.filter((one): one is FanOutCase => 'qos' in one)
  const memories = wanted.filter((one): one is MemoryCase => 'kind' in one)
  return [
    ...(loads.length > 0 ? [await loadPart(loads, options, contenders)] : []),
    ...(fanOuts.length > 0 ? [await fanOutPart(fanOuts, options, contenders)] : []),
    ...(memories.length > 0 ? [await memoryPart(memories, options, contenders)] : []),
  ]
}
