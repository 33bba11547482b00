import { ensureClassArchive } from './classes.ts'
import { installation } from './installation.ts'
import { createNode, type KafkaServer, uuid } from './node.ts'
import { type KafkaOptions, planNodes } from './plan.ts'

export type { KafkaServer } from './node.ts'
export type { KafkaOptions } from './plan.ts'

export interface KafkaCluster {
  /** host:port of every node, comma separated. */
  readonly bootstrap: string
  readonly nodes: readonly KafkaServer[]
  stop(): Promise<void>
}

/** Starts a broker of the caller's own; ready when it resolves (about a second). Throws NoInstallationError. */
export async function startKafka(options: KafkaOptions = {}): Promise<KafkaServer> {
  const cluster = await startKafkaCluster(1, options)
  return cluster.nodes[0]!
}

/** Starts `nodeCount` nodes, each broker and controller, with as many replicas (three at most) by default. */
export async function startKafkaCluster(
  nodeCount: number,
  options: KafkaOptions = {},
): Promise<KafkaCluster> {
  const from = await installation()
  await ensureClassArchive(from)
  const clusterId = uuid()
  const plans = await planNodes(nodeCount, options)
  const nodes = await Promise.all(plans.map((plan) => createNode(from, clusterId, plan)))
  const stop = async () => {
    // Nodes that end one by one wait for each other in vain: controllers, for the majority that is gone.
    if (nodes.length > 1) await Promise.all(nodes.map((node) => node.kill()))
    await Promise.all(nodes.map((node) => node.stop()))
  }
  try {
    // Together: a node is ready only when a majority of the controllers is there.
    await Promise.all(nodes.map((node) => node.start()))
  } catch (error) {
    await stop()
    throw error
  }
  return { bootstrap: nodes.map((node) => node.bootstrap).join(','), nodes, stop }
}
