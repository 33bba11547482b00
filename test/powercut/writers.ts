/** The devices that publish: on every stream, with both kinds of acknowledgement, each on a few topics in turn. */
import { Writer } from './writer.ts'

const QOS1 = { count: 5, windowMax: 16 } as const
const QOS2 = { count: 3, windowMax: 8 } as const
const PLACES = ['plant', 'turn', 'alarm', 'plant', 'line'] as const

export function makeWriters(seed: number): Writer[] {
  const group = (kind: string, qos: 1 | 2, { count, windowMax }: { count: number; windowMax: number }) =>
    Array.from({ length: count }, (_, i) => {
      const name = `${kind}-${i}`
      const place = PLACES[i % PLACES.length]!
      const topics = [`${place}/${name}/state`, `${place}/${name}/level`, `plant/${name}/count`]
      return new Writer({ name, qos, topics, windowMax, seed })
    })
  return [...group('sensor', 1, QOS1), ...group('valve', 2, QOS2)]
}
