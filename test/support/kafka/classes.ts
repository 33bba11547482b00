/**
 * A class data sharing archive: the JVM maps the classes that a broker loads ready-made, instead of reading and
 * checking eight thousand of them in every start. Made once for a JVM and a set of jars, by a broker that does what
 * tests do and writes the archive when it ends.
 */
import { existsSync } from 'node:fs'
import { rename, rm, writeFile } from 'node:fs/promises'
import { Kafka, logLevel } from 'kafkajs'
import type { Installation } from './installation.ts'
import { withLock } from './lock.ts'
import { createNode, uuid } from './node.ts'
import { planNodes } from './plan.ts'
import { createTopic } from './topics.ts'

const TRAINING_MS_MAX = 90_000

/** Makes the archive if it is not there. It only saves time, so that its failure is remembered, not thrown. */
export async function ensureClassArchive(from: Installation): Promise<void> {
  if (existsSync(from.classArchive)) return
  await withLock(`${from.classArchive}.lock`, TRAINING_MS_MAX, async () => {
    if (existsSync(from.classArchive)) return
    const partial = `${from.classArchive}.${process.pid}`
    try {
      await train(from, partial)
      await rename(partial, from.classArchive)
    } catch {
      // An empty archive says that this JVM cannot: nobody tries again.
      await writeFile(from.classArchive, '')
    } finally {
      await rm(partial, { force: true })
    }
  })
}

async function train(from: Installation, archive: string): Promise<void> {
  const plans = await planNodes(1, {})
  const node = await createNode(from, uuid(), plans[0]!, [`-XX:ArchiveClassesAtExit=${archive}`])
  try {
    await node.start()
    await createTopic(node.bootstrap, 'training', 1)
    const kafka = new Kafka({ brokers: [node.bootstrap], logLevel: logLevel.NOTHING })
    const producer = kafka.producer({ idempotent: true, transactionalId: 'training', maxInFlightRequests: 1 })
    await producer.connect()
    const transaction = await producer.transaction()
    await transaction.send({ topic: 'training', messages: [{ value: 'x' }] })
    await transaction.sendOffsets({
      consumerGroupId: 'training',
      topics: [{ topic: 'training', partitions: [{ partition: 0, offset: '1' }] }],
    })
    await transaction.commit()
    await producer.disconnect()
  } finally {
    await node.stop()
  }
}
