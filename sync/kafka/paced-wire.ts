/** A wire whose Fetch requests are held to a cap on bytes a second; all that goes over its connections counts. */
import type { Pacer } from '../link/pacer.ts'
import type { LinkMeter } from './link-meter.ts'
import type { KafkaWire } from './wire.ts'

/** @param meter counts what this wire carries, and what others do that keep to the same cap */
export function pacedWire(wire: KafkaWire, pacer: Pacer, meter: LinkMeter): KafkaWire {
  return {
    ...wire,
    get lostConnections() {
      return wire.lostConnections
    },
    fetch(node, request) {
      const bytesMax = Math.min(request.bytesMax, pacer.bytesMax)
      const partitionBytesMax = Math.min(request.partitionBytesMax, pacer.bytesMax)
      const asked = () => wire.fetch(node, { ...request, bytesMax, partitionBytesMax })
      return pacer.take(asked, () => meter.taken())
    },
  }
}
