/**
 * An edge for sync's crash tests: a replicator that sends a fixed log to NATS until all is there, and exits with 0.
 *
 *   node sync-child.js ADDRESS RECORDS PARTITIONS
 *
 * It writes the number of records sent by this life after each round that was acknowledged, one a line.
 */
import { exit } from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { createReplicator } from '../../../sync/index.ts'
import { MemoryLog } from '../../sync/memory-log.ts'
import { natsConfig } from '../../sync/nats/open-nats.ts'

const [address = '', records = '', partitions = ''] = process.argv.slice(2)
const PER_COMMIT = 5

const log = new MemoryLog().addStream('events', Number(partitions))
for (let done = 0; done < Number(records); done += PER_COMMIT) {
  log.appendMany('events', (done / PER_COMMIT) % Number(partitions), PER_COMMIT, PER_COMMIT)
}
const config = natsConfig(address, {
  messageBytesMax: 1500,
  ackMs: 2000,
  round: { bytesMax: 16_384, lingerMs: 0 },
  backoff: { firstMs: 20, msMax: 100 },
})
const complain = (line: string) => process.stderr.write(`${line}\n`)
const sink = { info: () => {}, warn: complain, error: complain }
const cache = { load: async () => null, save: async () => {} }
const replicator = await createReplicator(config, { log, cache, sink })
replicator.start()
for (let told = 0; ; ) {
  const { state, sentRecords, lagRecords } = replicator.status()
  if (sentRecords > told) process.stdout.write(`${sentRecords}\n`)
  told = sentRecords
  if (state === 'stopped') exit(1)
  if (state === 'idle' && lagRecords === 0) break
  await sleep(1)
}
await replicator.close()
exit(0)
