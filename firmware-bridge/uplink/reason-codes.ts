/** What the broker's answers mean for a session or a message (MQTT 5.0 section 2.4; MQTT 3.1.1 section 3.2.2.3). */

const UNSUPPORTED_VERSION = new Set([0x01, 0x84])
/** The broker will not change its mind by itself. */
const FINAL_REFUSALS: Readonly<Record<number, readonly [reason: string, hint: string]>> = {
  2: ['it does not allow this client id', 'see clientIdPrefix, and what the broker allows'],
  4: ['wrong user or password', 'check broker.user and broker.passwordFile'],
  5: ['not authorized', 'give the user of broker.user the right to connect with this client id'],
  133: ['it does not allow this client id', 'see clientIdPrefix, and what the broker allows'],
  134: ['wrong user or password', 'check broker.user and broker.passwordFile'],
  135: ['not authorized', 'give the user of broker.user the right to connect with this client id'],
  138: ['banned', 'ask whoever runs the broker'],
  140: ['it wants another way of authentication', 'allow user and password, or none, for the bridge'],
  144: ['it does not allow the topic of the will', 'give the device another will topic'],
  149: ['its will is too large for the broker', 'give the device a shorter will message'],
  153: ['it does not take the payload of the will', 'give the device another will message'],
  154: ['it does not take retained messages, and the will is one', 'give the device a will without RETAIN'],
}
/** DISCONNECT after which the session is not the bridge's any more. */
const FINAL_ENDS: Readonly<Record<number, string>> = {
  135: 'the broker says: not authorized any more',
  142: 'another client has connected with its client id',
  152: 'the broker ended it by an administrative action',
}
/** The same message can never be taken; the others are about now. */
const FINAL_FAULTS: Readonly<Record<number, string>> = {
  135: 'not authorized to publish there',
  144: 'the broker does not allow this topic',
  149: 'too large for the broker',
  153: 'the broker does not take this payload',
  154: 'the broker does not take retained messages',
}

/** Our own, beside those of MQTT: the broker ends the connection upon the message each time. */
export const GIVEN_UP = 0x100
/** DISCONNECT that may be about the message before it: unspecified, malformed, protocol error, topic name, too large, payload format, RETAIN, QoS. */
const MESSAGE_FAULTS = new Set([0x80, 0x81, 0x82, 0x83, 0x90, 0x95, 0x99, 0x9a, 0x9b])

export function isMessageFault(code: number): boolean {
  return MESSAGE_FAULTS.has(code)
}

export function isUnsupportedVersion(code: number): boolean {
  return UNSUPPORTED_VERSION.has(code)
}

export function finalRefusal(code: number): readonly [reason: string, hint: string] | null {
  return FINAL_REFUSALS[code] ?? null
}

export function finalEnd(code: number): string | null {
  return FINAL_ENDS[code] ?? null
}

/** @returns why never; null: it may be taken later */
export function finalFault(code: number): string | null {
  if (code === GIVEN_UP) return 'the broker ends the connection each time it comes'
  return FINAL_FAULTS[code] ?? null
}
