/** The JetStream streams of an upstream: found, created where that is wanted, and fit to take each record once. */
import type { LogIdentity, PartitionState } from '../../broker/index.ts'
import { NatsStreamMissingError, NatsStreamUnsuitableError } from '../errors.ts'
import { streamNameOf, subjectMatches, subjectOf, subjectsFor } from './format.ts'
import type { NatsWire, StreamFacts } from './wire.ts'

export interface StreamOptions {
  readonly stream: string
  readonly subjectPrefix: string
  readonly createStream: boolean
  readonly newStream: {
    readonly replicas: number
    readonly storage: 'file' | 'memory'
    readonly bytesMax: number
    readonly ageHoursMax: number
  }
}

/** Where one partition goes. */
export interface Target {
  readonly stream: string
  readonly partition: number
  readonly subject: string
  readonly natsStream: string
}

const MS_PER_HOUR = 3_600_000

export function targetOf(options: StreamOptions, { edge }: LogIdentity, partition: PartitionState): Target {
  const { stream } = partition
  return {
    stream,
    partition: partition.partition,
    subject: subjectOf(options.subjectPrefix, edge, stream, partition.partition),
    natsStream: streamNameOf(options.stream, edge, stream),
  }
}

/** What a user of this upstream has to be allowed. */
export function permissionsOf(options: StreamOptions, inboxPrefix: string, edge: string): string {
  const stream = options.stream.includes('{') ? '*' : options.stream
  const api = ['STREAM.INFO', 'STREAM.MSG.GET', ...(options.createStream ? ['STREAM.CREATE'] : [])]
  const publish = [
    subjectsFor('{edge}', options.subjectPrefix, edge, '').replace(/\.\*\.\*$/, '.>'),
    ...api.map((call) => `$JS.API.${call}.${stream}`),
  ]
  return `to publish to ${publish.join(', ')} and to subscribe to ${inboxPrefix}.>`
}

/** Puts the stream that takes this target into `streams`, by name. @throws NatsStreamMissingError, NatsStreamUnsuitableError, NatsWireError */
export async function prepareStream(
  wire: NatsWire,
  options: StreamOptions,
  identity: LogIdentity,
  target: Target,
  streams: Map<string, StreamFacts>,
): Promise<void> {
  const name = target.natsStream
  const facts = streams.get(name) ?? (await prepare(wire, options, identity, target))
  if (!facts.subjects.some((pattern) => subjectMatches(pattern, target.subject))) {
    const wanted = subjectsFor(options.stream, options.subjectPrefix, identity.edge, target.stream)
    throw new NatsStreamUnsuitableError(
      name,
      `it does not take subject ${target.subject}`,
      `add it: nats stream edit ${name} --subjects='${[...facts.subjects, wanted].join(',')}'`,
    )
  }
  streams.set(name, facts)
}

async function prepare(
  wire: NatsWire,
  options: StreamOptions,
  { edge }: LogIdentity,
  { natsStream: name, stream }: Target,
): Promise<StreamFacts> {
  const subjects = subjectsFor(options.stream, options.subjectPrefix, edge, stream)
  const { replicas, storage, bytesMax, ageHoursMax } = options.newStream
  let facts = await wire.stream(name)
  if (facts === null) {
    if (!options.createStream) {
      const command = `nats stream add ${name} --subjects='${subjects}' --retention=limits --discard=old --storage=file --replicas=3 --defaults`
      throw new NatsStreamMissingError(name, command)
    }
    const ageMsMax = ageHoursMax * MS_PER_HOUR
    facts = await wire.createStream({ name, subjects: [subjects], replicas, storage, bytesMax, ageMsMax })
  }
  const [oddity] = facts.oddities
  if (oddity !== undefined) {
    throw new NatsStreamUnsuitableError(name, oddity, 'give this upstream a plain stream of its own')
  }
  if (facts.retention !== 'limits') {
    throw new NatsStreamUnsuitableError(
      name,
      `its retention is ${facts.retention}: messages that consumers have taken go, and the position with them`,
      'give this upstream a stream with --retention=limits, and let a second one source from it',
    )
  }
  return facts
}
