/** The shared Kafka as a container of Apache's own image, where there is a Docker engine. */
import { execFile } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { whenOrphaned } from './cleanup.ts'
import { nodeProperties } from './properties.ts'
import { KAFKA_VERSION } from './versions.ts'
import { answers } from './wire.ts'

const run = promisify(execFile)
const INFO_MS_MAX = 3_000
const PULL_MS_MAX = 300_000
const START_MS_MAX = 60_000
const PORT_INSIDE = 9092
const CONTROLLER_PORT_INSIDE = 9093

/** Whether an engine answers; the client alone is on many machines, and some of its versions exit with 0 then. */
export function dockerAnswers(): Promise<boolean> {
  return run('docker', ['info', '--format', '{{.ServerVersion}}'], { timeout: INFO_MS_MAX }).then(
    ({ stdout }) => stdout.trim() !== '',
    () => false,
  )
}

/** Starts the container with the plain listener on `port` of this machine's loopback; the result removes it. */
export async function startDocker(port: number): Promise<() => Promise<void>> {
  const name = `headwater-test-kafka-${process.pid}-${port}`
  // The engine owns the container, so even a normal exit of ours would leave it behind.
  const releaseReaper = whenOrphaned('docker rm -f -v "$1"', [name])
  const stop = async () => {
    await run('docker', ['rm', '-f', '-v', name])
    releaseReaper()
  }
  try {
    await run('docker', ['run', '-d', '--name', name, ...containerArguments(port)], { timeout: PULL_MS_MAX })
    await untilAnswering(name, port)
  } catch (error) {
    await stop().catch(() => {})
    throw error
  }
  return stop
}

/** What `docker run` gets after the name. Pure, so that a test can look at it where no engine runs. */
export function containerArguments(port: number): string[] {
  const properties = nodeProperties({
    nodeId: 1,
    port,
    controllerPort: CONTROLLER_PORT_INSIDE,
    voters: [{ nodeId: 1, controllerPort: CONTROLLER_PORT_INSIDE }],
    extraListeners: [],
    dataDirectory: '/tmp/headwater-kafka',
    properties: {
      // All addresses of the container, or the published port would lead nowhere; the port is published on the
      // loopback alone. What is advertised stays the address outside.
      listeners: `PLAINTEXT://0.0.0.0:${PORT_INSIDE},CONTROLLER://127.0.0.1:${CONTROLLER_PORT_INSIDE}`,
    },
  })
  const environment = Object.entries(properties).flatMap(([key, value]) => [
    '-e',
    `${environmentName(key)}=${value}`,
  ])
  const publish = `127.0.0.1:${port}:${PORT_INSIDE}`
  const heap = 'KAFKA_HEAP_OPTS=-Xmx512m'
  return ['-p', publish, '-e', heap, ...environment, `apache/kafka:${KAFKA_VERSION}`]
}

/** The image turns KAFKA_A_B into the property a.b; none of ours has a dash or an underscore. */
function environmentName(property: string): string {
  return `KAFKA_${property.toUpperCase().replaceAll('.', '_')}`
}

async function untilAnswering(name: string, port: number): Promise<void> {
  const deadline = Date.now() + START_MS_MAX
  while (!(await answers(`127.0.0.1:${port}`))) {
    if (Date.now() > deadline) {
      const { stdout } = await run('docker', ['logs', '--tail', '40', name])
      throw new Error(`Kafka in Docker did not answer within ${START_MS_MAX} ms; end of its log:\n${stdout}`)
    }
    await sleep(100)
  }
}
