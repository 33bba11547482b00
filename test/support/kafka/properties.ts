/**
 * A broker's configuration as a pure function of its plan. The same properties serve a JVM (`server.properties`)
 * and a container (environment).
 */

/** A listener beside the plain one, for the client under test: SASL, TLS, or a second advertised address. */
export interface ExtraListener {
  /** Upper case, unique in the node, such as `SASL`. */
  name: string
  protocol: 'PLAINTEXT' | 'SSL' | 'SASL_PLAINTEXT' | 'SASL_SSL'
  /** Clients are sent to this port instead of the listener's own: a proxy's. */
  advertisedPort?: number
  /** Properties of this listener without their prefix `listener.name.<name>.`, such as `ssl.keystore.location`. */
  properties?: Record<string, string>
}

export interface NodePlan {
  nodeId: number
  /** The plain listener, always there: the test's own reader and administration use it. */
  port: number
  controllerPort: number
  /** Every controller of the cluster, this one included. */
  voters: readonly { nodeId: number; controllerPort: number }[]
  extraListeners: readonly (ExtraListener & { port: number })[]
  dataDirectory: string
  /** The caller's, last, so that they win. */
  properties: Record<string, string>
  /** Such as system properties, -Dname=value. */
  jvmFlags?: readonly string[]
}

const HOST = '127.0.0.1'
/** Of each listener. Connections go to them in turn. */
export const NETWORK_THREADS = 2

/** The complete `server.properties` of one combined broker and controller. */
export function nodeProperties(plan: NodePlan): Record<string, string> {
  const own: NodePlan['extraListeners'][number] = {
    name: 'PLAINTEXT',
    protocol: 'PLAINTEXT',
    port: plan.port,
  }
  const plain = [own, ...plan.extraListeners]
  const addresses = plain.map(({ name, port }) => `${name}://${HOST}:${port}`)
  const advertised = plain.map(
    ({ name, port, advertisedPort }) => `${name}://${HOST}:${advertisedPort ?? port}`,
  )
  const protocols = plain.map(({ name, protocol }) => `${name}:${protocol}`)
  const replicas = String(Math.min(3, plan.voters.length))
  const minInSync = String(Math.min(2, plan.voters.length))
  const properties: Record<string, string> = {
    'process.roles': 'broker,controller',
    'node.id': String(plan.nodeId),
    listeners: [...addresses, `CONTROLLER://${HOST}:${plan.controllerPort}`].join(','),
    'advertised.listeners': advertised.join(','),
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': 'PLAINTEXT',
    'listener.security.protocol.map': [...protocols, 'CONTROLLER:PLAINTEXT'].join(','),
    // Static voters, not `bootstrap.servers`: they keep ports out of the formatted directory, so that one formatted
    // directory in the cache serves every node on every port.
    'controller.quorum.voters': plan.voters
      .map((voter) => `${voter.nodeId}@${HOST}:${voter.controllerPort}`)
      .join(','),
    'log.dirs': plan.dataDirectory,
    'default.replication.factor': replicas,
    'offsets.topic.replication.factor': replicas,
    'transaction.state.log.replication.factor': replicas,
    'transaction.state.log.min.isr': minInSync,
    'share.coordinator.state.topic.replication.factor': replicas,
    'share.coordinator.state.topic.min.isr': minInSync,
    // The broker creates these at first use and the first client waits for every partition.
    'offsets.topic.num.partitions': '1',
    'transaction.state.log.num.partitions': '1',
    'share.coordinator.state.topic.num.partitions': '1',
    'group.initial.rebalance.delay.ms': '0',
    // A misspelt topic is an error in a test, not a new topic.
    'auto.create.topics.enable': 'false',
    // After a SIGKILL a node may not register again before the session of its former self has expired: 9 s by
    // default. Measured restart with 1.5 s: 2.4 s.
    'broker.session.timeout.ms': '1500',
    'broker.heartbeat.interval.ms': '250',
    // The records of tests are of fixed times, years ago: half a minute after a start retention would take them.
    'log.retention.ms': '-1',
    // Markers that cannot be sent at once are looked at again when the sender's poll ends: after 30 s by default, on a broker
    // that has nothing else to do. Until then a new epoch is refused with CONCURRENT_TRANSACTIONS.
    'request.timeout.ms': '3000',
    // By default the controller gathers changes for 25 ms; a test waits for each.
    'controller.quorum.append.linger.ms': '0',
    // Small: the default cleaner buffer alone is a quarter of our heap.
    'log.cleaner.dedupe.buffer.size': '4194304',
    'num.network.threads': String(NETWORK_THREADS),
    'num.io.threads': '4',
  }
  for (const listener of plan.extraListeners) {
    for (const [key, value] of Object.entries(listener.properties ?? {})) {
      properties[`listener.name.${listener.name.toLowerCase()}.${key}`] = value
    }
  }
  return { ...properties, ...plan.properties }
}

/** Text of a Java properties file. */
export function formatProperties(properties: Record<string, string>): string {
  const escaped = (text: string) => text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
  return Object.entries(properties)
    .map(([key, value]) => `${key}=${escaped(value)}\n`)
    .join('')
}

/**
 * `meta.properties` of a formatted directory: with `bootstrap.checkpoint` beside it, all that Kafka's format command
 * writes when voters are static.
 */
export function metaProperties(clusterId: string, nodeId: number, directoryId: string): string {
  return formatProperties({
    version: '1',
    'cluster.id': clusterId,
    'node.id': String(nodeId),
    'directory.id': directoryId,
  })
}

/** Configuration of Log4j: one file beside the data; the line that says "started" is always in it. */
export const LOG4J_PROPERTIES = formatProperties({
  status: 'error',
  'appender.file.type': 'Console',
  'appender.file.name': 'out',
  'appender.file.layout.type': 'PatternLayout',
  'appender.file.layout.pattern': '[%d] %p %m (%c)%n',
  // HEADWATER_TEST_KAFKA_LOG=info shows what a broker decided.
  'rootLogger.level': `$\{sys:headwater.log}`,
  'rootLogger.appenderRef.out.ref': 'out',
  'logger.started.name': 'kafka.server.KafkaRaftServer',
  'logger.started.level': 'info',
})
