/** Prepares what all test files share: a real Apache Kafka, started when the first test asks for it. */
import type { TestProject } from 'vitest/node'
import { chooseKafka, HOW_TO_RUN } from './kafka/choice.ts'
import { serveStarter } from './kafka/shared.ts'
import './kafka/vitest.ts'

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { source, reason, ownReason } = await chooseKafka()
  const isCi = !['', 'false', '0', undefined].includes(process.env.CI)
  if (isCi && (source === undefined || ownReason !== '')) {
    // A green build must mean that these ran.
    throw new Error(`tests on a real Kafka cannot run here: ${reason || ownReason}; ${HOW_TO_RUN}`)
  }
  if (source === undefined)
    shout(`ALL TESTS ON A REAL KAFKA ARE SKIPPED: ${reason}; to run them, ${HOW_TO_RUN}`)
  else if (ownReason !== '')
    shout(`tests that kill a Kafka are SKIPPED: ${ownReason}; they need Java 17+ and Maven`)
  const starter = source && (await serveStarter(source))
  project.provide('kafka', {
    available: source !== undefined,
    bootstrap: source?.bootstrap ?? '',
    reason,
    canStartOwn: ownReason === '',
    ownReason,
    starterPort: starter?.port ?? 0,
  })
  return async () => {
    await starter?.close()
  }
}

function shout(line: string): void {
  process.stderr.write(`\n!!! ${line}\n\n`)
}
