/** Suites that need a real Kafka. Where there is none they are skipped by name; the setup says so loudly, once. */
import { beforeAll, describe, inject } from 'vitest'
import { type SharedKafka, sharedKafkaStarted } from './shared.ts'

declare module 'vitest' {
  interface ProvidedContext {
    kafka: SharedKafka
  }
}

const START_MS_MAX = 360_000

/**
 * A suite on the Kafka that all tests share: topics in it need names of their own (`uniqueName`). `bootstrap` is
 * known while tests are collected and answers from the first hook on.
 */
export function describeWithKafka(name: string, define: (kafka: { bootstrap: string }) => void): void {
  const kafka = inject('kafka')
  if (!kafka.available) {
    describe.skip(`${name} [no Kafka: ${kafka.reason}]`, () => define(kafka))
    return
  }
  describe(name, () => {
    beforeAll(() => sharedKafkaStarted(kafka), START_MS_MAX)
    define(kafka)
  })
}

/** A suite that starts, kills and configures brokers of its own with `startKafka` or `startKafkaCluster`. */
export function describeWithOwnKafka(name: string, define: () => void): void {
  const { canStartOwn, ownReason } = inject('kafka')
  if (canStartOwn) describe(name, define)
  else describe.skip(`${name} [no Kafka of its own: ${ownReason}]`, define)
}

/** Whether tests here can start brokers of their own. */
export function canStartOwnKafka(): boolean {
  return inject('kafka').canStartOwn
}

let counter = 0

/** A name that no other test uses: for topics, groups, transactional ids on the shared Kafka. */
export function uniqueName(prefix: string): string {
  return `${prefix}-${process.pid}-${Date.now().toString(36)}-${++counter}`
}
