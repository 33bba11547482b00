/** A backlog into JetStream on this machine: a nats-server of its own with a stream on disk, whose subjects are then read back. */
import { withDefaults } from '../../../broker/config/schema-check.ts'
import { recordCountOf } from '../../../broker/index.ts'
import { NatsUpstreamSchema } from '../../../sync/config.ts'
import type { NatsUpstreamConfig } from '../../../sync/index.ts'
import { connectNats } from '../../../sync/nats/connect.ts'
import { subjectOf } from '../../../sync/nats/format.ts'
import { readMessages } from '../../../sync/nats/reader.ts'
import { natsBinary } from '../../support/nats/binary.ts'
import { NatsServer } from '../../support/nats/server.ts'
import { runJob } from '../children.ts'
import { STREAM } from '../log/job.ts'
import { EDGE } from '../log/jobs/opened-log.ts'
import type { BenchOptions } from '../options.ts'
import { PARTITIONS } from './backlog.ts'
import { type Contender, ownSettings, WORKER } from './contenders.ts'
import type { SyncJob, SyncResult } from './job.ts'

export interface JetStream {
  readonly contender: Contender
  stop(): Promise<void>
}

/** @throws where there is no nats-server, and why */
export async function startJetStream(
  name: string,
  options: Pick<BenchOptions, 'profile'>,
): Promise<JetStream> {
  const { path, reason } = await natsBinary()
  if (path === null) throw new Error(reason)
  const server = await NatsServer.start()
  const upstreamOf = (stream: string) => {
    const place = { servers: [server.address], stream, subjectPrefix: stream, createStream: true }
    return withDefaults(NatsUpstreamSchema, { name: 'bench', kind: 'nats', ...place }) as NatsUpstreamConfig
  }
  const contender: Contender = {
    name,
    guarantee: 'exactly once',
    async send(stream, { directory, payloadBytes }) {
      const job: SyncJob = { kind: 'headwater', directory, upstream: upstreamOf(stream) }
      const result = await runJob<SyncJob, SyncResult>(WORKER, job, ownSettings(options))
      return { ...result, payloadBytes }
    },
    place: {
      // the upstream creates it
      create: async () => {},
      counts: (stream) => storedCounts(upstreamOf(stream)),
      drop: (stream) => dropStream(server.address, stream),
    },
  }
  return { contender, stop: () => server.stop() }
}

/** Records in each partition's subject; a damaged one, or one out of its place, is an error. */
async function storedCounts(upstream: NatsUpstreamConfig): Promise<number[]> {
  const wire = await connectNats(upstream, 'bench-reader')
  const counts = new Array<number>(PARTITIONS).fill(0)
  try {
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const subject = subjectOf(upstream.subjectPrefix, EDGE, STREAM, partition)
      for await (const { batches } of readMessages(wire, upstream.stream, subject)) {
        for (const { bytes } of batches) counts[partition]! += recordCountOf(bytes)
      }
    }
    return counts
  } finally {
    wire.close()
  }
}

async function dropStream(address: string, stream: string): Promise<void> {
  const { connect } = await import('@nats-io/transport-node')
  const connection = await connect({ servers: address })
  await connection.request(`$JS.API.STREAM.DELETE.${stream}`)
  await connection.close()
}
