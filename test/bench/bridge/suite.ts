/** The firmware bridge, in parts. */
import { type BenchOptions, chosen } from '../options.ts'
import type { Report, Section } from '../report.ts'
import { decoder } from './decoder.ts'
import { devices } from './devices.ts'
import { gateway } from './gateway.ts'

interface Part {
  readonly name: string
  measure(options: BenchOptions): Promise<Section>
}

const PARTS: readonly Part[] = [
  { name: 'decoder', measure: async ({ runs, quick }) => decoder(runs, quick) },
  { name: 'gateway', measure: ({ runs, quick }) => gateway(runs, quick) },
  { name: 'devices', measure: devices },
]

export async function bridge(options: BenchOptions): Promise<Report> {
  const sections: Section[] = []
  for (const part of chosen(PARTS, options.only)) sections.push(await part.measure(options))
  return {
    bench: 'bridge',
    options,
    sections,
    notes: [
      'decoder: by processor time, in this process; bytes as they are on the wire.',
      'gateway: processor time in this process, no socket and no broker; QoS 2 is two packets of the device. All are acknowledged, or it fails.',
      'devices: processor time and memory are those of the broker, and of the bridge. RSS is the highest since the process began.',
    ],
  }
}
