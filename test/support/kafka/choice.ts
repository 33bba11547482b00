/** Where the Kafka that all tests share comes from. */
import { dockerAnswers, startDocker } from './docker.ts'
import { installation, NoInstallationError } from './installation.ts'
import { freePort } from './ports.ts'
import { startKafka } from './server.ts'
import { answers } from './wire.ts'

/** A Kafka that can be started; its address is known before, so that tests can be collected without it. */
export interface KafkaSource {
  readonly kind: 'given' | 'docker' | 'java'
  readonly bootstrap: string
  /** Starts it; the result stops it. */
  start(): Promise<() => Promise<void>>
}

export interface KafkaChoice {
  source: KafkaSource | undefined
  /** Why there is no source. */
  reason: string
  /** Why tests cannot start brokers of their own; empty when they can. */
  ownReason: string
}

/** How a person makes the Kafka tests run, in one line. */
export const HOW_TO_RUN =
  'install Java 17+ and Maven, or start Docker, or set HEADWATER_TEST_KAFKA=host:port of a Kafka 4'

/**
 * In this order: what HEADWATER_TEST_KAFKA says (`host:port`, `docker`, `java`, or `off`); Docker when an engine
 * answers; Java and Maven. Nothing is started yet, but what has to be fetched is fetched.
 */
export async function chooseKafka(wish = process.env.HEADWATER_TEST_KAFKA ?? ''): Promise<KafkaChoice> {
  if (wish === 'off') {
    const reason = 'HEADWATER_TEST_KAFKA=off'
    return { source: undefined, reason, ownReason: reason }
  }
  const ownReason = await whyNoInstallation()
  if (/^[^:\s]+:\d+/.test(wish)) return { source: given(wish), reason: '', ownReason }
  if (wish !== 'java' && (await dockerAnswers())) {
    return { source: docker(await freePort()), reason: '', ownReason }
  }
  if (wish === 'docker') return { source: undefined, reason: 'no Docker engine answers', ownReason }
  if (wish !== '' && wish !== 'java')
    throw new Error(`HEADWATER_TEST_KAFKA=${wish} is not host:port, docker, java or off`)
  if (ownReason !== '') return { source: undefined, reason: ownReason, ownReason }
  return { source: java(await freePort()), reason: '', ownReason }
}

async function whyNoInstallation(): Promise<string> {
  try {
    await installation()
    return ''
  } catch (error) {
    if (error instanceof NoInstallationError) return error.message
    throw error
  }
}

function given(bootstrap: string): KafkaSource {
  const start = async () => {
    const address = bootstrap.split(',')[0]!
    if (!(await answers(address))) throw new Error(`HEADWATER_TEST_KAFKA: no Kafka answers on ${address}`)
    return async () => {}
  }
  return { kind: 'given', bootstrap, start }
}

function docker(port: number): KafkaSource {
  return { kind: 'docker', bootstrap: `127.0.0.1:${port}`, start: () => startDocker(port) }
}

function java(port: number): KafkaSource {
  const start = async () => {
    const server = await startKafka({ port })
    return () => server.stop()
  }
  return { kind: 'java', bootstrap: `127.0.0.1:${port}`, start }
}
