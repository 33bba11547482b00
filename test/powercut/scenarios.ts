/**
 * What the broker is run with while its power is cut, one after the other. A row is added here when a feature writes to the disk at
 * moments of its own: name its configuration, what the judge may expect, and the files by which its moments are known.
 */
import { InvalidArgumentError } from 'commander'
import type { Expectation } from './judge.ts'

/** A moment that shows itself in the data directory: the cut comes a few writes after a name appears there. */
export interface Trigger {
  /** In the data directory. */
  readonly directory: string
  readonly name: RegExp
}

/** Moments while the writers are at work; the first two need a trigger. */
export type Moment = 'roll' | 'retention' | 'compaction' | 'commit' | 'any time' | 'shutdown'

export interface Scenario {
  readonly name: string
  /** Of `mount -o`. */
  readonly mountOptions: string
  /** YAML beside `edge`, `data` and `mqtt`. */
  readonly config: string
  readonly expectation: Expectation
  /** How often each moment is chosen, against the others. */
  readonly moments: Partial<Record<Moment, number>>
  readonly triggers: Partial<Record<Moment, Trigger>>
  /** What the broker is asked to do while the writers are at work: a path of its control socket. */
  readonly request?: string
  /** Sparse: what is not written takes no room. 1 GiB without it. */
  readonly diskBytes?: number
}

const STREAMS = `
streams:
  - { name: alarms, topics: ["alarm/#"], key: topic, partitions: 1 }
  - { name: turns, topics: ["turn/#"], key: { levels: [1] }, partitions: 2 }
  - { name: events, topics: ["#"], key: topic, partitions: 4 }
`
const NO_UPSTREAM = 'upstreams: []\n'
/** Nobody listens there: nothing is ever synced. */
const UPSTREAM_AWAY = 'upstreams: [{ name: away, kind: kafka, bootstrap: ["127.0.0.1:1"] }]\n'

/** The index of the old segment is written first, then the new segment's directory, then the manifest. */
const ROLL: Trigger = {
  directory: 'log/main',
  name: /^\.[0-9a-f]{8}\.index\.tmp$|^[0-9a-f]{8}$|^\.manifest/,
}
/** A directory of a segment that is written anew or removed, or the manifest that lists them. */
const REARRANGEMENT: Trigger = { directory: 'log/main', name: /^[0-9a-f]{8}$|^\.manifest/ }
const MOMENTS = { commit: 4, roll: 4, 'any time': 2, shutdown: 2 }

const SMALL = 'log: { segmentBytes: 1048576 }\n'
/** Looks after each segment for what has to go. */
const RETENTION = `
log: { segmentBytes: 1048576, disk: { reserveBytes: 1048576 } }
streams:
  - { name: alarms, topics: ["alarm/#"], key: topic, partitions: 1 }
  - { name: turns, topics: ["turn/#"], key: { levels: [1] }, partitions: 2, retention: { bytes: 2097152 } }
  - { name: events, topics: ["#"], key: topic, partitions: 4, retention: { bytes: 5242880 } }
`
const COMPACTION = `
log: { segmentBytes: 1048576 }
streams:
  - { name: turns, topics: ["turn/#"], key: topic, partitions: 2, cleanup: compact }
  - { name: states, topics: ["#"], key: topic, partitions: 4, cleanup: compact }
`
const FULL_DISK_BYTES = 64 * 1024 * 1024
const FULL_DISK = 'log: { segmentBytes: 1048576, disk: { reserveBytes: 4194304 } }\n'
const LARGE = 'log: { segmentBytes: 33554432 }\n'

export const SCENARIOS: readonly Scenario[] = [
  {
    // the default upstream: its archive and its checkpoints stand on the same disk
    name: 'small segments',
    mountOptions: 'noatime',
    config: SMALL + STREAMS,
    expectation: 'every-record',
    moments: MOMENTS,
    triggers: { roll: ROLL },
  },
  {
    // a file may be longer after a cut than what was written of it: its end is then what the blocks held before; and a file that
    // was renamed over another without an fsync is not saved by ext4's own care for programs that forget it
    name: 'ext4 data=writeback',
    mountOptions: 'noatime,data=writeback,nodelalloc,noauto_da_alloc',
    config: SMALL + STREAMS,
    expectation: 'every-record',
    moments: MOMENTS,
    triggers: { roll: ROLL },
  },
  {
    // LevelDB writes and merges its tables while the segment is active
    name: 'large segments',
    mountOptions: 'noatime',
    config: LARGE + STREAMS + NO_UPSTREAM,
    expectation: 'every-record',
    moments: { commit: 4, 'any time': 4, shutdown: 2 },
    triggers: {},
  },
  {
    // each write goes to the device by itself: a commit of several blocks is torn between them
    name: 'ext4 sync',
    mountOptions: 'noatime,sync',
    config: SMALL + STREAMS + NO_UPSTREAM,
    expectation: 'every-record',
    moments: MOMENTS,
    triggers: { roll: ROLL },
  },
  {
    // segments are removed, and written anew where a stream without retention has its records among those that went
    name: 'retention',
    mountOptions: 'noatime',
    config: RETENTION + NO_UPSTREAM,
    expectation: 'window',
    moments: { retention: 5, commit: 2, 'any time': 3, shutdown: 1 },
    triggers: { retention: REARRANGEMENT },
  },
  {
    name: 'compaction',
    mountOptions: 'noatime',
    config: COMPACTION + NO_UPSTREAM,
    expectation: 'latest-per-key',
    moments: { compaction: 6, commit: 2, 'any time': 2, shutdown: 1 },
    triggers: {},
    request: '/streams/compact',
  },
  {
    // after some cycles nothing more fits, and nothing may go: publishers are refused, and a start still works
    name: 'full disk',
    mountOptions: 'noatime',
    config: FULL_DISK + STREAMS + UPSTREAM_AWAY,
    expectation: 'every-record',
    moments: { commit: 2, roll: 2, 'any time': 6, shutdown: 2 },
    triggers: { roll: ROLL },
    diskBytes: FULL_DISK_BYTES,
  },
  {
    // without an upstream to wait for, the oldest records make room
    name: 'full disk, eviction',
    mountOptions: 'noatime',
    config: FULL_DISK + STREAMS + NO_UPSTREAM,
    expectation: 'window',
    moments: { retention: 4, commit: 2, 'any time': 4, shutdown: 2 },
    triggers: { retention: REARRANGEMENT },
    diskBytes: FULL_DISK_BYTES,
  },
]

export function scenariosOf(only: string | undefined): readonly Scenario[] {
  return SCENARIOS.filter(({ name }) => only === undefined || name.includes(only))
}

/** For a command line. */
export function scenarioText(text: string): string {
  if (scenariosOf(text).length > 0) return text
  throw new InvalidArgumentError(`There are ${SCENARIOS.map(({ name }) => `"${name}"`).join(', ')}.`)
}

export function configurationOf(scenario: Scenario, data: string, port: number): string {
  return `edge: edge-under-test
data: ${data}
mqtt:
  listeners: [{ address: "127.0.0.1:${port}" }]
${scenario.config}`
}
