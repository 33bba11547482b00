/** Packets that a client could send, in every version, drawn at random; and what becomes of them when bytes of them are changed. */
import { generate, type IConnectPacket, type Packet } from 'mqtt-packet'
import type { Random } from '../../support/random.ts'

export type Version = 3 | 4 | 5
export const VERSIONS: readonly Version[] = [3, 4, 5, 5]
/** Few, so that connections take over each other's sessions. */
const CLIENT_IDS = 40

export function pick<T>(random: Random, items: readonly T[]): T {
  return items[random.between(0, items.length - 1)]!
}

export function chance(random: Random, share: number): boolean {
  return random.next() < share
}

const TOPICS = [
  'a/b',
  'a/b/c',
  'other',
  '#',
  '+/+',
  'a/+/b',
  '$SYS/x',
  '$SYS/#',
  '$share/g/a/#',
  '$share/g/$share/h/#',
  '$share/g/$replay/anything/earliest',
  '$replay/anything/earliest',
  '$replay/anything/0/5',
  '$replay/anything/@2020-01-01T00:00:00Z',
  '$replay/none/earliest',
  'honest/writer-0/t',
  '',
  '+',
  'a#',
  '/'.repeat(90),
  '/'.repeat(300),
  'x'.repeat(900),
  'x'.repeat(2000),
  'é\u{1f50c}',
] as const

export function connectOf(random: Random, version: Version, of: Partial<IConnectPacket> = {}): Buffer {
  const will = {
    topic: pick(random, ['a/b', 'w', 'honest/writer-0/t']),
    payload: Buffer.from('gone'),
    qos: random.between(0, 2) as 0 | 1 | 2,
    retain: chance(random, 0.3),
    ...(version === 5 ? { properties: { willDelayInterval: random.between(0, 3) } } : {}),
  }
  const properties = {
    sessionExpiryInterval: random.between(0, 20),
    receiveMaximum: random.between(1, 5),
    topicAliasMaximum: random.between(0, 5),
    ...(chance(random, 0.2) ? { maximumPacketSize: random.between(1, 200) } : {}),
  }
  return encoded(version, {
    cmd: 'connect',
    protocolId: version === 3 ? 'MQIsdp' : 'MQTT',
    protocolVersion: version,
    clientId: `hostile-${random.between(0, CLIENT_IDS - 1)}`,
    clean: chance(random, 0.5),
    keepalive: random.between(0, 3),
    ...(chance(random, 0.3) ? { will } : {}),
    ...(chance(random, 0.1) ? { username: 'honest', password: Buffer.from('guessed') } : {}),
    ...(version === 5 ? { properties } : {}),
    ...of,
  })
}

export function anyPacket(random: Random, version: Version): Buffer {
  const messageId = random.between(0, 6)
  const qos = random.between(0, 2) as 0 | 1 | 2
  const topic = pick(random, TOPICS)
  const kinds: readonly (() => Packet)[] = [
    () => publishOf(random, version, topic),
    () => publishOf(random, version, topic),
    () => ({
      cmd: 'subscribe',
      messageId,
      subscriptions: [
        { topic, qos, nl: chance(random, 0.3), rap: chance(random, 0.3), rh: random.between(0, 2) },
        { topic: pick(random, TOPICS), qos },
      ],
      ...(version === 5 ? { properties: { subscriptionIdentifier: random.between(1, 300) } } : {}),
    }),
    () => ({ cmd: 'unsubscribe', messageId, unsubscriptions: [topic, pick(random, TOPICS)] }),
    ...(['puback', 'pubrec', 'pubrel', 'pubcomp'] as const).map((cmd) => () => ({
      cmd,
      messageId,
      reasonCode: pick(random, [0, 0, 0x10, 0x80, 0x92]),
    })),
    () => ({ cmd: 'pingreq' }),
    () => ({ cmd: 'pingresp' }),
    () => ({ cmd: 'suback', messageId, granted: [qos] }),
    () => ({ cmd: 'unsuback', messageId, granted: [0] }),
    () => ({ cmd: 'connack', sessionPresent: false, returnCode: 0, reasonCode: 0 }),
    () => ({ cmd: 'auth', reasonCode: 0x18, properties: { authenticationMethod: 'x' } }),
    () => ({
      cmd: 'disconnect',
      reasonCode: pick(random, [0, 4]),
      ...(version === 5 ? { properties: { sessionExpiryInterval: random.between(0, 9) } } : {}),
    }),
  ]
  if (chance(random, 0.05)) return connectOf(random, version)
  return encoded(version, pick(random, kinds)())
}

function publishOf(random: Random, version: Version, topic: string): Packet {
  const properties = {
    ...(chance(random, 0.5) ? { topicAlias: random.between(0, 70_000) % 65_536 } : {}),
    messageExpiryInterval: random.between(0, 9),
    responseTopic: 'r',
    correlationData: Buffer.alloc(5),
    userProperties: { a: 'b' },
    contentType: 't',
    payloadFormatIndicator: chance(random, 0.5),
  }
  const qos = random.between(0, 2) as 0 | 1 | 2
  return {
    cmd: 'publish',
    topic,
    payload: Buffer.alloc(random.between(0, 3000)),
    qos,
    dup: chance(random, 0.3),
    retain: chance(random, 0.3),
    messageId: random.between(0, 6),
    ...(version === 5 && chance(random, 0.5) ? { properties } : {}),
  }
}

/** What the library refuses to write, such as a topic with a wildcard, is something else instead. */
export function encoded(version: Version, packet: Packet): Buffer {
  try {
    return generate(packet, { protocolVersion: version })
  } catch {
    return Buffer.from([0xc0, 0])
  }
}

const INTERESTING = [0x00, 0x01, 0x7f, 0x80, 0xff, 0x23, 0x2b, 0x2f, 0xed, 0xa0, 0xc0, 0x26, 0x0b, 0x10, 0x3f]

/** As it is, or with some of its bytes changed, cut off, doubled or added; mostly with the remaining length that fits. */
export function mutated(random: Random, whole: Buffer, share = 0.4): Buffer {
  if (!chance(random, share) || whole.length < 2) return whole
  let found = Buffer.from(whole)
  for (let count = random.between(1, 3); count > 0 && found.length > 1; count--) {
    const at = random.between(0, found.length - 1)
    const value = chance(random, 0.5) ? pick(random, INTERESTING) : random.between(0, 255)
    const kind = random.between(0, 5)
    if (kind <= 1) found[at] = value
    else if (kind === 2) found[at]! ^= 1 << random.between(0, 7)
    else if (kind === 3) found = Buffer.concat([found.subarray(0, at), found.subarray(at + 1)])
    else if (kind === 4) found = found.subarray(0, Math.max(2, at))
    else found = Buffer.concat([found.subarray(0, at), bytesOf(random, 20), found.subarray(at)])
  }
  const { length } = found
  const fitsOneByte = length - 2 < 128 && whole[1]! < 128
  if (fitsOneByte && chance(random, 0.75)) found[1] = length - 2
  return found
}

export function bytesOf(random: Random, most: number): Buffer {
  return Buffer.from(Array.from({ length: random.between(1, most) }, () => random.between(0, 255)))
}
