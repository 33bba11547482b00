/**
 * A broker's jars in a cache outside the repository, fetched once with Maven.
 *
 *   ${XDG_CACHE_HOME:-~/.cache}/headwater/kafka-<version>/
 *     libs/*.jar             the broker and its dependencies
 *     bootstrap.checkpoint   feature levels, as Kafka's own format command wrote them
 *     classes-<jvm>.jsa      class data sharing archive; optional, halves the start
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { withLock } from './lock.ts'
import { formatProperties, nodeProperties } from './properties.ts'
import { JAVA_VERSION_MIN, KAFKA_POM, KAFKA_VERSION } from './versions.ts'

const run = promisify(execFile)
const FETCH_MS_MAX = 600_000
const RUN_MS_MAX = 60_000

/** What it takes to start a broker here. */
export interface Installation {
  java: string
  /** Jars in a fixed order: the class data sharing archive is valid for exactly this order. */
  classpath: string
  bootstrapCheckpoint: string
  /** Where the archive of this JVM is, or will be. */
  classArchive: string
}

/** Why there is none, in words for the person who has to change it. */
export class NoInstallationError extends Error {}

let cached: Promise<Installation> | undefined

/** The installation, fetched into the cache when it is not there yet. Throws NoInstallationError. */
export function installation(): Promise<Installation> {
  cached ??= resolve()
  return cached
}

/** The directory of the cache; `HEADWATER_TEST_KAFKA` and this are all that the environment decides. */
export function cacheDirectory(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'headwater')
}

async function resolve(): Promise<Installation> {
  const { java, identity } = await findJava()
  const home = join(cacheDirectory(), `kafka-${KAFKA_VERSION}`)
  if (!(await exists(home))) {
    await mkdir(cacheDirectory(), { recursive: true })
    await withLock(`${home}.lock`, FETCH_MS_MAX, async () => {
      if (!(await exists(home))) await install(java, home)
    })
  }
  return {
    java,
    classpath: await classpath(join(home, 'libs')),
    bootstrapCheckpoint: join(home, 'bootstrap.checkpoint'),
    classArchive: join(
      home,
      `classes-${createHash('sha256').update(identity).digest('hex').slice(0, 12)}.jsa`,
    ),
  }
}

async function findJava(): Promise<{ java: string; identity: string }> {
  const java = process.env.JAVA_HOME ? join(process.env.JAVA_HOME, 'bin', 'java') : 'java'
  let identity: string
  try {
    identity = (await run(java, ['-version'], { timeout: RUN_MS_MAX })).stderr
  } catch {
    throw new NoInstallationError(`no Java: install a JRE ${JAVA_VERSION_MIN} or newer, or set JAVA_HOME`)
  }
  const version = Number.parseInt(/version "(\d+)/.exec(identity)?.[1] ?? '0', 10)
  if (version < JAVA_VERSION_MIN) {
    throw new NoInstallationError(
      `Java ${version} is too old: Kafka ${KAFKA_VERSION} needs ${JAVA_VERSION_MIN} or newer`,
    )
  }
  return { java, identity }
}

/** Builds the whole installation aside and renames it, so that a cache directory that exists is complete. */
async function install(java: string, home: string): Promise<void> {
  try {
    await run('mvn', ['--version'], { timeout: RUN_MS_MAX })
  } catch {
    throw new NoInstallationError(`no Maven to fetch Kafka ${KAFKA_VERSION} with: install maven`)
  }
  process.stderr.write(`headwater tests: fetching Apache Kafka ${KAFKA_VERSION} (43 MB, once) into ${home}\n`)
  const staging = await mkdtemp(`${home}.staging-`)
  try {
    const libs = join(staging, 'libs')
    await writeFile(join(staging, 'pom.xml'), KAFKA_POM)
    await fetchJars(staging, libs)
    await format(java, staging, await classpath(libs))
    await rename(staging, home)
  } finally {
    await rm(staging, { recursive: true, force: true })
  }
}

async function fetchJars(staging: string, libs: string): Promise<void> {
  const goal = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies'
  const args = [
    '-q',
    '-B',
    '-Dstyle.color=never',
    '-f',
    join(staging, 'pom.xml'),
    goal,
    '-DincludeScope=runtime',
  ]
  try {
    await run('mvn', [...args, `-DoutputDirectory=${libs}`], { timeout: FETCH_MS_MAX, maxBuffer: 16 << 20 })
  } catch (error) {
    const { stdout = '' } = error as { stdout?: string }
    const reason = stdout.split('\n').find((line) => line.includes('ERROR')) ?? (error as Error).message
    throw new NoInstallationError(`Maven could not fetch Kafka ${KAFKA_VERSION}: ${reason.slice(0, 400)}`)
  }
}

/** Lets Kafka format a throw-away directory and keeps the one file of it that is the same for every node. */
async function format(java: string, staging: string, jars: string): Promise<void> {
  const config = join(staging, 'format.properties')
  const plan = { nodeId: 1, port: 9092, controllerPort: 9093, extraListeners: [], properties: {} }
  const dataDirectory = join(staging, 'formatted')
  await writeFile(config, formatProperties(nodeProperties({ ...plan, voters: [plan], dataDirectory })))
  const clusterId = 'AAAAAAAAAAAAAAAAAAAAAA'
  const args = ['-cp', jars, 'kafka.tools.StorageTool', 'format', '-t', clusterId, '-c', config]
  await run(java, args, { timeout: RUN_MS_MAX, maxBuffer: 16 << 20 })
  await rename(join(dataDirectory, 'bootstrap.checkpoint'), join(staging, 'bootstrap.checkpoint'))
  await rm(dataDirectory, { recursive: true })
  await rm(config)
}

async function classpath(libs: string): Promise<string> {
  const jars = (await readdir(libs)).filter((name) => name.endsWith('.jar')).sort()
  return jars.map((name) => join(libs, name)).join(':')
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}
