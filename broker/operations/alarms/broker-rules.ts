/** Of clients, the clock, memory, the configuration. */
import { bytes, count, plural } from '../terminal/units.ts'
import type { Finding } from './alarm.ts'
import type { AlarmLook } from './look.ts'

const LOGINS_MIN = 20
/** Shares of a limit. */
const MEMORY_HIGH = 0.9
const MEMORY_CLOSES = 0.8
const CONNECTIONS_CLOSES = 0.9

export function brokerFindings(look: AlarmLook): Finding[] {
  return [...clients(look), ...messages(look), ...clock(look), ...memory(look), ...restart(look)]
}

function clients({ broker: { mqtt }, recent, isOpen }: AlarmLook): Finding[] {
  const found: Finding[] = []
  const { connections, connecting, connectionsMax } = mqtt
  const share = isOpen('connection-limit', 'broker') ? CONNECTIONS_CLOSES : 1
  const taken = connections + connecting
  if (taken >= connectionsMax * share) {
    const silent = connecting > 0 ? ` (nobody has logged in on ${count(connecting)})` : ''
    const summary = `${count(taken)} of ${count(connectionsMax)} connections are taken${silent}: more are refused`
    const hint =
      'raise limits.connectionsMax, or look with headwater clients for one that should not be there; limits.connectionsPerAddressMax keeps one address from taking all'
    found.push({ id: 'connection-limit', severity: 'warning', subject: 'broker', summary, hint })
  }
  const refused = recent.growth(({ refusedLogins }) => refusedLogins)
  if (refused >= LOGINS_MIN) {
    const summary = `${plural(refused, 'login')} were refused in the last ten minutes`
    const hint = 'the log names addresses and users: mend the password of a device, or keep a stranger out'
    found.push({ id: 'logins-refused', severity: 'warning', subject: 'broker', summary, hint })
  }
  return found
}

function messages({ recent }: AlarmLook): Finding[] {
  const found: Finding[] = []
  const dropped = recent.growth((counters) => counters.dropped)
  if (dropped > 0) {
    const summary = `${plural(dropped, 'message')} could not be kept for subscribers in the last ten minutes`
    const hint = 'a subscriber is away or too slow: see who has much queued, and limits.queuedMessagesMax'
    found.push({ id: 'messages-dropped', severity: 'warning', subject: 'broker', summary, hint })
  }
  const letters = recent.growth(({ deadLetters }) => deadLetters)
  if (letters > 0) {
    const summary = `${plural(letters, 'message')} went to the stream dead-letters in the last ten minutes`
    const hint =
      'headwater read dead-letters shows them with the reason; mend who publishes them, or the key of the stream'
    found.push({ id: 'dead-letters', severity: 'warning', subject: 'dead-letters', summary, hint })
  }
  return found
}

function clock({ broker: { clock: found } }: AlarmLook): Finding[] {
  if (found.isTrusted) return []
  const summary = `the clock is not to be trusted: ${found.evidence}`
  const hint = 'bring a time service within reach; retention by time stands still, and records say so'
  return [{ id: 'clock-untrusted', severity: 'warning', subject: 'clock', summary, hint }]
}

function memory({ heldBytes, memoryBytesMax, isOpen }: AlarmLook): Finding[] {
  if (memoryBytesMax === null) return []
  const share = isOpen('memory-high', 'broker') ? MEMORY_CLOSES : MEMORY_HIGH
  if (heldBytes < memoryBytesMax * share) return []
  const summary = `the broker has ${bytes(heldBytes)} of the ${bytes(memoryBytesMax)} that it may have`
  const hint = 'lower limits (connections, queues, outboxes), or raise MemoryMax of the service'
  return [{ id: 'memory-high', severity: 'warning', subject: 'broker', summary, hint }]
}

function restart({ needsRestart }: AlarmLook): Finding[] {
  if (needsRestart.length === 0) return []
  const keys = needsRestart.slice(0, 5).join(', ')
  const more = needsRestart.length > 5 ? ` and ${needsRestart.length - 5} more` : ''
  const summary = `the configuration has changed in what counts from the next start on: ${keys}${more}`
  return [{ id: 'restart-needed', severity: 'info', subject: 'broker', summary, hint: 'restart the broker' }]
}
