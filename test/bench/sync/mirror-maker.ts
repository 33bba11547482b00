/**
 * MirrorMaker 2 as operators run it beside a local Kafka: dedicated mode, exactly once, of the same version as the broker. Its
 * start, which takes Connect several seconds, does not count, nor does the first tenth of the backlog, while the JVM compiles.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { cacheDirectory } from '../../support/kafka/installation.ts'
import { freePort } from '../../support/kafka/ports.ts'
import { formatProperties, LOG4J_PROPERTIES } from '../../support/kafka/properties.ts'
import { KAFKA_VERSION } from '../../support/kafka/versions.ts'
import { startProgram, stopProcess } from '../children.ts'
import { cpuSeconds, memory } from '../process-usage.ts'
import type { SyncResult } from './job.ts'
import { stableEnds } from './stable-ends.ts'

const WARM_SHARE = 0.1
const FETCH_MS_MAX = 600_000
const COPY_MS_MAX = 300_000
/** By then its first records are there, or never. */
const START_MS_MAX = 150_000
const POLL_MS = 20
/** The last records are there when nothing has come for so long. */
const QUIET_MS = 3000

const artifact = (group: string, name: string, version: string) =>
  `<dependency><groupId>${group}</groupId><artifactId>${name}</artifactId><version>${version}</version></dependency>`

const POM = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>headwater.bench</groupId><artifactId>mirror</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    ${artifact('org.apache.kafka', 'connect-runtime', KAFKA_VERSION)}
    ${artifact('org.apache.kafka', 'connect-mirror', KAFKA_VERSION)}
    ${artifact('org.apache.logging.log4j', 'log4j-api', '2.25.1')}
    ${artifact('org.apache.logging.log4j', 'log4j-core', '2.25.1')}
    ${artifact('org.apache.logging.log4j', 'log4j-slf4j-impl', '2.25.1')}
  </dependencies>
</project>
`

/** The jars, fetched once with Maven into the cache of the test Kafka. @returns the class path. @throws when they cannot be had */
export async function mirrorMakerJars(): Promise<string> {
  const home = join(cacheDirectory(), `mirror-${KAFKA_VERSION}`)
  if (!existsSync(home)) {
    const staging = `${home}.staging-${process.pid}`
    await mkdir(staging, { recursive: true })
    try {
      await writeFile(join(staging, 'pom.xml'), POM)
      const goal = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies'
      const args = ['-q', '-B', '-f', join(staging, 'pom.xml'), goal, '-DincludeScope=runtime']
      const into = `-DoutputDirectory=${join(staging, 'libs')}`
      await promisify(execFile)('mvn', [...args, into], { timeout: FETCH_MS_MAX, maxBuffer: 16 << 20 })
      await rename(staging, home)
    } finally {
      await rm(staging, { recursive: true, force: true })
    }
  }
  const libs = join(home, 'libs')
  const jars = (await readdir(libs)).filter((name) => name.endsWith('.jar')).sort()
  return jars.map((name) => join(libs, name)).join(':')
}

export interface Mirroring {
  readonly classpath: string
  /** A directory for its configuration. */
  readonly directory: string
  readonly source: string
  readonly target: string
  readonly topic: string
  readonly records: number
}

async function properties({ source, target, topic }: Mirroring): Promise<Record<string, string>> {
  const one = ['replication.factor', 'offset.storage.replication.factor', 'status.storage.replication.factor']
  const single = [...one, 'config.storage.replication.factor']
  return {
    clusters: 'edge,core',
    'edge.bootstrap.servers': source,
    'core.bootstrap.servers': target,
    'edge->core.enabled': 'true',
    'edge->core.topics': topic,
    'core->edge.enabled': 'false',
    'replication.policy.class': 'org.apache.kafka.connect.mirror.IdentityReplicationPolicy',
    // Without heartbeats, or a herder for the other direction would be built, too.
    'emit.heartbeats.enabled': 'false',
    'emit.checkpoints.enabled': 'false',
    'sync.group.offsets.enabled': 'false',
    'refresh.groups.enabled': 'false',
    'sync.topic.acls.enabled': 'false',
    'sync.topic.configs.enabled': 'false',
    // With any other setting of them beside it, Kafka 4.2 refuses this one.
    'emit.offset-syncs.enabled': 'false',
    ...Object.fromEntries(single.map((key) => [key, '1'])),
    'core.exactly.once.source.support': 'enabled',
    'dedicated.mode.enable.internal.rest': 'true',
    listeners: `http://127.0.0.1:${await freePort()}`,
    'tasks.max': '1',
    // Favoured: by default it commits a transaction for every 500 records.
    'edge.consumer.max.poll.records': '5000',
    'transaction.boundary': 'interval',
    'transaction.boundary.interval.ms': '1000',
  }
}

/** Copies a topic into one of the same name, which is there and empty. */
export async function mirror(job: Mirroring): Promise<SyncResult> {
  const { classpath, directory, target, topic, records } = job
  await mkdir(directory, { recursive: true })
  const [config, logging] = [join(directory, 'mm2.properties'), join(directory, 'log4j2.properties')]
  await writeFile(config, formatProperties(await properties(job)))
  await writeFile(logging, LOG4J_PROPERTIES)
  const java = process.env.JAVA_HOME ? join(process.env.JAVA_HOME, 'bin', 'java') : 'java'
  const flags = ['-Xms256m', '-Xmx768m', `-Dlog4j2.configurationFile=${logging}`, '-Dheadwater.log=error']
  const main = 'org.apache.kafka.connect.mirror.MirrorMaker'
  const program = startProgram(java, [...flags, '-cp', classpath, main, config])
  try {
    return await watch(program.child.pid!, target, topic, records)
  } catch (error) {
    throw new Error(`MirrorMaker 2: ${(error as Error).message}\n${program.lastWords()}`)
  } finally {
    await stopProcess(program.child)
  }
}

async function watch(pid: number, target: string, topic: string, records: number): Promise<SyncResult> {
  const ends = stableEnds(target, topic)
  const until = performance.now() + COPY_MS_MAX
  let start: { at: number; cpu: number; count: number } | null = null
  let last = { at: performance.now(), cpu: 0, count: 0 }
  try {
    for (;;) {
      const count = await ends.sum()
      const at = performance.now()
      if (count > last.count) last = { at, cpu: cpuSeconds(pid), count }
      if (start === null && count >= records * WARM_SHARE) start = last
      // Markers count, too: the exact number is checked when all is there.
      if (start !== null && count >= records && at - last.at > QUIET_MS) break
      if (count === 0 && at > until - COPY_MS_MAX + START_MS_MAX) throw new Error('nothing came')
      if (at > until) throw new Error(`${count} of ${records} records in ${COPY_MS_MAX / 1000} s`)
      await sleep(POLL_MS)
    }
  } finally {
    ends.close()
  }
  const { rssPeakBytes, rssAnonBytes } = memory(pid)
  return {
    records: Math.max(1, last.count - start.count),
    seconds: (last.at - start.at) / 1000,
    cpuSeconds: last.cpu - start.cpu,
    rssPeakBytes,
    rssAnonBytes,
    wireBytes: Number.NaN,
    payloadBytes: Number.NaN,
  }
}
