/** Topic names and topic filters. MQTT 5, sections 4.7 and 4.8.2. */
import type { PacketLimits } from './limits.ts'
import { MqttProtocolError, malformed, Reason } from './protocol-error.ts'
import { isName, textError } from './utf8.ts'

const SLASH = 0x2f
const PLUS = 0x2b
const HASH = 0x23
const SHARE = '$share/'

type TopicLimits = Pick<PacketLimits, 'topicBytesMax' | 'topicLevelsMax'>

/** @throws MqttProtocolError where bytes[from, to) are not a topic name, or one beyond the limits. */
export function validateTopicName(
  bytes: Uint8Array,
  from: number,
  to: number,
  limits: TopicLimits,
  wildcardClause = 'MQTT-3.3.2-2',
): void {
  if (from === to) throw malformed('MQTT-4.7.3-1', 'an empty topic name')
  if (!isName(bytes, from, to)) throw textError(bytes, from, to, 'a topic name')
  let levels = 1
  for (let at = from; at < to; at++) {
    const byte = bytes[at]
    if (byte === SLASH) levels++
    else if (byte === PLUS || byte === HASH) throw malformed(wildcardClause, 'a wildcard in a topic name')
  }
  checkLimits(to - from, levels, limits, Reason.invalidTopic)
}

/** @throws MqttProtocolError where bytes[from, to) are not a topic filter (`$share/…` included), or one beyond the limits. */
export function validateTopicFilter(bytes: Uint8Array, from: number, to: number, limits: TopicLimits): void {
  if (from === to) throw malformed('MQTT-4.7.3-1', 'an empty topic filter')
  if (!isName(bytes, from, to)) throw textError(bytes, from, to, 'a topic filter')
  const start = isShared(bytes, from, to) ? afterShareName(bytes, from, to) : from
  let levels = 1
  for (let at = start; at < to; at++) {
    const byte = bytes[at]
    if (byte === SLASH) levels++
    else if (byte === PLUS || byte === HASH) {
      const isWholeLevel =
        (at === start || bytes[at - 1] === SLASH) && (at + 1 === to || bytes[at + 1] === SLASH)
      if (byte === PLUS && !isWholeLevel)
        throw malformed('MQTT-4.7.1-2', '+ is not a whole level of a filter')
      if (byte === HASH && (!isWholeLevel || at + 1 !== to)) {
        throw malformed('MQTT-4.7.1-1', '# is not the last level of a filter')
      }
    }
  }
  checkLimits(to - from, levels, limits, Reason.invalidFilter)
}

/** A filter as a client wrote it, which has been found valid, in its parts. */
export function splitFilter(text: string): { filter: string; shareName: string | null } {
  if (!text.startsWith(SHARE)) return { filter: text, shareName: null }
  const end = text.indexOf('/', SHARE.length)
  return { filter: text.slice(end + 1), shareName: text.slice(SHARE.length, end) }
}

export function isSharedFilter(text: string): boolean {
  return text.startsWith(SHARE)
}

function isShared(bytes: Uint8Array, from: number, to: number): boolean {
  if (to - from < SHARE.length) return false
  for (let index = 0; index < SHARE.length; index++) {
    if (bytes[from + index] !== SHARE.charCodeAt(index)) return false
  }
  return true
}

/** @returns Where the filter of a shared subscription begins. */
function afterShareName(bytes: Uint8Array, from: number, to: number): number {
  const start = from + SHARE.length
  let at = start
  for (; at < to && bytes[at] !== SLASH; at++) {
    if (bytes[at] === PLUS || bytes[at] === HASH)
      throw malformed('MQTT-4.8.2-2', 'a wildcard in a share name')
  }
  if (at === start) throw malformed('MQTT-4.8.2-1', 'an empty share name')
  if (at + 1 >= to) throw malformed('MQTT-4.8.2-2', 'a share name without a topic filter')
  return at + 1
}

function checkLimits(
  bytes: number,
  levels: number,
  limits: TopicLimits,
  reason: typeof Reason.invalidTopic | typeof Reason.invalidFilter,
): void {
  if (bytes > limits.topicBytesMax) {
    const text = `a topic of ${bytes} bytes, the maximum is ${limits.topicBytesMax}`
    throw new MqttProtocolError(reason, 'limit: topicBytesMax', text)
  }
  if (levels > limits.topicLevelsMax) {
    const text = `a topic of ${levels} levels, the maximum is ${limits.topicLevelsMax}`
    throw new MqttProtocolError(reason, 'limit: topicLevelsMax', text)
  }
}
