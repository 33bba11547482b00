/** Which keys a running broker takes up when the configuration is read again, and why it does not take up the others. */

/** A prefix of a path, `*` for any one step; the first that fits counts. null: taken up. */
export const RELOAD_RULES: readonly (readonly [path: string, reason: string | null])[] = [
  ['data', 'the log lies in the directory that is open now'],
  [
    'edge',
    'the name is that of the data directory and of all that is upstream: `headwater rename` changes it',
  ],
  ['configVersion', null],
  ['mqtt.anonymous', null],
  ['mqtt.permissions', null],
  ['mqtt.sysIntervalSeconds', null],
  ['mqtt.listeners', null],
  ['mqtt', 'connections and sessions are made with it'],
  ['http', 'its address is opened at the start'],
  ['limits.connectionsMax', null],
  ['limits.connectionsPerAddressMax', null],
  ['limits.connectsPerSecond', null],
  ['limits.connectsPerSecondPerAddress', null],
  ['limits.messagesPerSecondPerClient', null],
  ['limits.bytesPerSecondPerClient', null],
  ['limits.messagesPerSecondPerUser', null],
  ['limits.bytesPerSecondPerUser', null],
  ['limits', 'memory is set aside by it at the start'],
  ['log.segmentBytes', 'segments that are open were begun with it'],
  ['log', null],
  ['clock', 'records are stamped by what was decided at the start'],
  ['streams.*.partitions', 'a stream that exists keeps its partitions'],
  ['streams.*.table', 'tables are built, and removed, at the start'],
  ['streams', null],
]

/** @returns null for what is taken up */
export function restartReason(path: readonly string[]): string | null {
  for (const [pattern, reason] of RELOAD_RULES) if (fits(pattern.split('.'), path)) return reason
  return 'it is read at the start'
}

function fits(pattern: readonly string[], path: readonly string[]): boolean {
  return pattern.every((step, index) => path[index] !== undefined && (step === '*' || step === path[index]))
}
