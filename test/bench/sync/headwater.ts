/** Headwater's side: the log that is written once, and the replicator that sends it. */
import { subscribe } from 'node:diagnostics_channel'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { NO_HEADERS } from '../../../broker/log/record-batch.ts'
import { type LogSink, silentSink } from '../../../broker/log-sink.ts'
import { type CheckpointCache, createReplicator, type UpstreamConfig } from '../../../sync/index.ts'
import { oneStream, STREAM } from '../log/job.ts'
import { openBenchLog } from '../log/jobs/opened-log.ts'
import { moment } from '../process-usage.ts'
import { backlogOf, PARTITIONS } from './backlog.ts'
import { resultOf, type SyncJob, type SyncResult } from './job.ts'

/** As when publishers keep a thousand messages in flight. */
const RECORDS_PER_COMMIT = 1000
const POLL_MS = 5

export async function prepare({
  directory,
  records,
  payload,
}: SyncJob & { kind: 'prepare' }): Promise<SyncResult> {
  const start = moment()
  const { log, close } = await openBenchLog(directory, oneStream(PARTITIONS))
  const { chain, partitions } = log.stream(STREAM)
  const backlog = backlogOf(payload)
  let payloadBytes = 0
  for (let written = 0; written < records; ) {
    const timestamp = Date.now()
    const end = Math.min(records, written + RECORDS_PER_COMMIT)
    for (; written < end; written++) {
      const { key, value, partition } = backlog.next()
      chain.append(partitions[partition]!, timestamp, key, value, NO_HEADERS)
      payloadBytes += key.length + value.length
    }
    await new Promise<void>((resolve, reject) =>
      chain.onCommit((error) => (error === null ? resolve() : reject(error))),
    )
  }
  await close()
  return { ...resultOf(start, records), payloadBytes }
}

/** From the first connection to the last acknowledged record. */
export async function replicate(directory: string, upstream: UpstreamConfig): Promise<SyncResult> {
  const { log, close } = await openBenchLog(directory)
  // the library is loaded at the first connection, which is measured, as it is with the peers; loading it is not
  if (upstream.kind === 'nats') await import('../../../sync/nats/library-wire.ts')
  else await import('../../../sync/kafka/platformatic-wire.ts')
  const sockets = watchSockets()
  const start = moment()
  const replicator = await createReplicator(upstream, { log, cache: forgetful, sink: complaints })
  replicator.start()
  for (;;) {
    const { state, lagRecords, lastError } = replicator.status()
    if (state === 'idle' && lagRecords === 0) break
    if (state === 'stopped') throw new Error(`replication stopped: ${lastError?.message}`)
    await sleep(POLL_MS)
  }
  const wireBytes = sockets.reduce((sum, socket) => sum + socket.bytesWritten, 0)
  const result = { ...resultOf(start, replicator.status().sentRecords), wireBytes }
  await replicator.close()
  await close()
  return result
}

/** All that this process opens from here on: what it writes there is what the link has to carry, less TCP's own. */
function watchSockets(): Socket[] {
  const sockets: Socket[] = []
  subscribe('net.client.socket', (message) => {
    sockets.push((message as { socket: Socket }).socket)
  })
  return sockets
}

/** Every run begins with nothing known: what is upstream decides. */
const forgetful: CheckpointCache = { load: async () => null, save: async () => {} }

/** What it retries costs time that counts: whoever reads the figures should know why. */
const complaints: LogSink = {
  ...silentSink,
  warn: (message) => void process.stderr.write(`\n${message}\n`),
  error: (message) => void process.stderr.write(`\n${message}\n`),
}
