import { freePort } from './ports.ts'
import type { ExtraListener, NodePlan } from './properties.ts'

export interface KafkaOptions {
  /** Added to, or instead of, what properties.ts sets. */
  properties?: Record<string, string>
  /** Port of the plain listener of the first node; a free one by default. */
  port?: number
  /** Of each node; by default 512, and 256 where there are several. */
  heapMb?: number
  /** Listeners beside the plain one. */
  listeners?: readonly ExtraListener[]
  /** Such as system properties, -Dname=value. */
  jvmFlags?: readonly string[]
}

/** A plan whose data directory is still to be made. */
export type NodePlanWithoutData = Omit<NodePlan, 'dataDirectory'> & { heapMb: number }

/** Gives every node its identity and its ports. */
export async function planNodes(nodeCount: number, options: KafkaOptions): Promise<NodePlanWithoutData[]> {
  const voters: { nodeId: number; controllerPort: number }[] = []
  for (let nodeId = 1; nodeId <= nodeCount; nodeId++)
    voters.push({ nodeId, controllerPort: await freePort() })
  const plans: NodePlanWithoutData[] = []
  for (const { nodeId, controllerPort } of voters) {
    const port = nodeId === 1 && options.port !== undefined ? options.port : await freePort()
    const extraListeners: NodePlan['extraListeners'][number][] = []
    for (const listener of options.listeners ?? [])
      extraListeners.push({ ...listener, port: await freePort() })
    const { properties = {}, heapMb = nodeCount > 1 ? 256 : 512, jvmFlags = [] } = options
    plans.push({ nodeId, port, controllerPort, voters, extraListeners, properties, heapMb, jvmFlags })
  }
  return plans
}
