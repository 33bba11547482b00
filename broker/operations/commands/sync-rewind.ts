/** `headwater sync rewind`: an upstream's position, moved on purpose, after a person has seen what comes of it. */
import { type PartitionState, partitionKey } from '../../log/source.ts'
import { ControlClient } from '../control/control-client.ts'
import { UnknownUpstreamError, UsageError } from '../errors.ts'
import { ExitCode } from '../exit-codes.ts'
import type { RewoundPosition, StreamReport, UpstreamStatus } from '../operations.ts'
import { parseFrom, placesOf } from '../reading.ts'
import type { Output } from '../terminal/output.ts'
import { printable } from '../terminal/printable.ts'
import { printTable } from '../terminal/table.ts'
import { count, plural } from '../terminal/units.ts'
import { type CommandContext, type ConfigOptions, dataDirectoryOf } from './context.ts'
import { firstOffset } from './first-offset.ts'
import { openLogAccess } from './log-access.ts'

export interface SyncRewindOptions extends ConfigOptions {
  readonly to: string
  readonly yes: boolean
  readonly json: boolean
}

/** What would happen to one partition. */
interface Move {
  readonly stream: string
  readonly partition: number
  /** null where upstream's position is not known yet. */
  readonly from: number | null
  readonly to: number
  /** Offsets that upstream gets once more, and that it never gets. */
  readonly sentAgain: number
  readonly skipped: number
}

export async function runSyncRewind(
  context: CommandContext,
  upstream: string,
  stream: string,
  partition: number | undefined,
  options: SyncRewindOptions,
): Promise<number> {
  const directory = await dataDirectoryOf(context, options)
  const client = await ControlClient.of(directory)
  const moves = await planMoves(context, client, directory, upstream, stream, partition ?? null, options)
  if (!options.json) printMoves(context.out, moves)
  if (!options.yes && !(await isConfirmed(context, upstream, moves))) {
    context.err.line('headwater: nothing was changed')
    return ExitCode.failed
  }
  const to = moves.map((move) => `${move.partition}:${move.to}`).join(',')
  const { rewound } = await client.json<{ rewound: RewoundPosition[] }>('POST', '/sync/rewind', {
    upstream,
    stream,
    to,
  })
  // Upstream may have gone on since the plan was made: what counts is where it stood.
  const done = rewound.map((place) => moveOf(place, place.from, place.to))
  if (options.json) context.out.json({ upstream, moved: done })
  else context.out.line(`${printable(upstream)}: moved; ${effects(done)}`)
  return ExitCode.ok
}

async function planMoves(
  context: CommandContext,
  client: ControlClient,
  directory: string,
  upstream: string,
  stream: string,
  partition: number | null,
  { to }: SyncRewindOptions,
): Promise<Move[]> {
  const { upstreams } = await client.json<{ upstreams: UpstreamStatus[] }>('GET', '/sync/status')
  const status = upstreams.find(({ name }) => name === upstream)
  if (status === undefined) {
    throw new UnknownUpstreamError(
      upstream,
      upstreams.map(({ name }) => name),
    )
  }
  const { streams } = await client.json<{ streams: StreamReport[] }>('GET', '/streams')
  const from = parsePlace(to)
  const own = streams.find((report) => report.stream === stream)?.partitions ?? []
  if (typeof from === 'object' && 'offset' in from && partition === null && own.length > 1) {
    const hint = `add the partition: headwater sync rewind ${upstream} ${stream} 0 --to ${to}`
    throw new UsageError(`an offset is of one partition, and stream "${stream}" has ${own.length}`, hint)
  }
  const access = await openLogAccess(context, directory)
  const log = {
    partitions: () => statesOf(streams),
    streams: () => streams,
    offsetForTime: (name: string, index: number) => firstOffset(access, name, index, to, context.signal),
  }
  const places = await placesOf(log, { stream, partition, from, follow: false })
  const positions = new Map(
    status.partitions.map((state) => [partitionKey(state.stream, state.partition), state.position]),
  )
  return places.map((place) => {
    const position = positions.get(partitionKey(place.stream, place.partition)) ?? null
    return moveOf(place, position, place.first)
  })
}

function parsePlace(to: string): ReturnType<typeof parseFrom> {
  try {
    return parseFrom(to)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    const hint = 'write earliest, latest, an offset such as 1200, or a time such as 2026-03-01T12:00:00Z'
    throw new UsageError(`--to ${to} is no place in a stream`, hint)
  }
}

function statesOf(streams: readonly StreamReport[]): PartitionState[] {
  return streams.flatMap(({ stream, partitions }) => partitions.map((state) => ({ stream, ...state })))
}

function moveOf(
  { stream, partition }: { readonly stream: string; readonly partition: number },
  from: number | null,
  to: number,
): Move {
  const distance = to - (from ?? 0)
  return {
    stream,
    partition,
    from,
    to,
    sentAgain: Math.max(0, -distance),
    skipped: Math.max(0, from === null ? 0 : distance),
  }
}

async function isConfirmed(
  { confirm }: CommandContext,
  upstream: string,
  moves: readonly Move[],
): Promise<boolean> {
  if (confirm === undefined) {
    throw new UsageError('nobody is there to confirm it', 'add --yes where that is meant')
  }
  return confirm(`Move upstream ${printable(upstream)}? ${effects(moves)}.`)
}

function effects(moves: readonly Move[]): string {
  const again = moves.reduce((sum, { sentAgain }) => sum + sentAgain, 0)
  const skipped = moves.reduce((sum, move) => sum + move.skipped, 0)
  const parts = [
    ...(again > 0 ? [`${plural(again, 'record')} sent again: upstream has them twice then`] : []),
    ...(skipped > 0 ? [`${plural(skipped, 'record')} skipped: upstream never gets them`] : []),
  ]
  return parts.length === 0 ? 'nothing is sent again and nothing skipped' : parts.join(', ')
}

function printMoves(out: Output, moves: readonly Move[]): void {
  printTable(
    out,
    [
      { title: 'STREAM' },
      { title: 'PARTITION', align: 'right' },
      { title: 'POSITION', align: 'right' },
      { title: 'TO', align: 'right' },
      { title: 'SENT AGAIN', align: 'right' },
      { title: 'SKIPPED', align: 'right' },
    ],
    moves.map(({ stream, partition, from, to, sentAgain, skipped }) => [
      printable(stream),
      String(partition),
      from === null ? 'unknown' : count(from),
      count(to),
      count(sentAgain),
      count(skipped),
    ]),
  )
}
