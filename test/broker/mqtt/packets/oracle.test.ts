/** Packets that another made are read as they were meant: random ones, from a seed. */
import { generate, type Packet, type UserProperties as Users } from 'mqtt-packet'
import { describe, expect, it } from 'vitest'
import type { ProtocolVersion, QoS } from '../../../../broker/mqtt/packets/packet.ts'
import { playLives, type Random } from '../../../support/random.ts'
import { connectOf, decode } from './support.ts'

const ROUNDS = 60
const VERSIONS = [3, 4, 5] as const
const LETTERS = ['a', 'B', '7', ' ', '/', 'é', '€', '𪛔', '$', '-']

const isIn = (random: Random) => random.between(0, 1) === 1
const oneOf = <T>(random: Random, all: readonly T[]): T => all[random.between(0, all.length - 1)]!
const bytesOf = (random: Random, max: number) =>
  Buffer.from(Array.from({ length: random.between(0, max) }, () => random.between(0, 255)))
const textOf = (random: Random, min = 0, max = 12) =>
  Array.from({ length: random.between(min, max) }, () => oneOf(random, LETTERS)).join('')
const qosOf = (random: Random) => random.between(0, 2) as QoS
const topicOf = (random: Random) => textOf(random, 1, oneOf(random, [3, 30, 200]))
const filterOf = (random: Random) =>
  oneOf(random, ['', '$share/g/']) +
  oneOf(random, [topicOf(random), `${topicOf(random)}/#`, '+/a', '#', 'x/+/y'])
const packetIdOf = (random: Random) => random.between(1, 65_535)

/** Only what was chosen to be there. */
function some<T extends object>(random: Random, all: T): Partial<T> {
  return Object.fromEntries(Object.entries(all).filter(() => isIn(random))) as Partial<T>
}

/** Names in one order, so that the other's object and our list say the same. */
function usersOf(random: Random): { list: [string, string][]; other: { userProperties?: Users } } {
  const list: [string, string][] = []
  const other: Record<string, string[]> = {}
  for (const name of ['x', 'yé', 'z']) {
    if (!isIn(random)) continue
    other[name] = Array.from({ length: random.between(1, 3) }, () => textOf(random))
    for (const value of other[name]) list.push([name, value])
  }
  // The other writes nothing at all of an empty one.
  return { list, other: list.length === 0 ? {} : { userProperties: other } }
}

/** Properties of a message for the other and, as we name them, for us. */
function messageProperties(random: Random) {
  const chosen = some(random, {
    payloadFormatIndicator: isIn(random),
    messageExpiryInterval: random.between(0, 0xffffffff),
    contentType: textOf(random),
    responseTopic: topicOf(random),
    correlationData: bytesOf(random, 20),
  })
  const users = usersOf(random)
  const names = {
    payloadFormatIndicator: 'payloadFormat',
    messageExpiryInterval: 'messageExpiry',
  } as Record<string, string>
  const ours: Record<string, unknown> = Object.fromEntries(
    Object.entries(chosen).map(([name, value]) => [names[name] ?? name, value]),
  )
  if (users.list.length > 0) ours.userProperties = users.list
  return {
    other: { ...chosen, ...users.other },
    ours: Object.keys(ours).length === 0 ? null : ours,
  }
}

const made = (packet: unknown, version: ProtocolVersion) =>
  generate(packet as Packet, { protocolVersion: version })

function play(rounds: (random: Random, version: ProtocolVersion) => void): Promise<void> {
  return playLives(ROUNDS, async (random) => {
    for (const version of VERSIONS) rounds(random, version)
  })
}

describe('what another generates is read as it was meant', () => {
  it('in a CONNECT', () =>
    play((random, version) => {
      const isFive = version === 5
      const clean = isIn(random)
      const clientId = textOf(random, clean && version !== 3 ? 0 : 1)
      const hasUser = isIn(random)
      const hasPassword = hasUser && isIn(random)
      const message = messageProperties(random)
      const will = isIn(random)
        ? { topic: topicOf(random), payload: bytesOf(random, 300), qos: qosOf(random), retain: isIn(random) }
        : null
      const delay = random.between(0, 0xffffffff)
      const chosen = some(random, {
        sessionExpiryInterval: random.between(0, 0xffffffff),
        receiveMaximum: random.between(1, 65_535),
        maximumPacketSize: random.between(1, 0xffffffff),
        topicAliasMaximum: random.between(0, 65_535),
        requestResponseInformation: isIn(random),
        requestProblemInformation: isIn(random),
        authenticationMethod: textOf(random),
      })
      const username = hasUser ? textOf(random, 1) : null
      const password = hasPassword ? bytesOf(random, 30) : null
      const keepalive = random.between(0, 65_535)
      const whole = made(
        {
          cmd: 'connect',
          protocolId: version === 3 ? 'MQIsdp' : 'MQTT',
          protocolVersion: version,
          clientId,
          clean,
          keepalive,
          ...(username === null ? {} : { username }),
          ...(password === null ? {} : { password }),
          ...(will === null
            ? {}
            : {
                will: {
                  ...will,
                  ...(isFive ? { properties: { ...message.other, willDelayInterval: delay } } : {}),
                },
              }),
          ...(isFive ? { properties: { ...chosen, ...usersOf(random).other } } : {}),
        },
        version,
      )
      expect(connectOf(whole)).toEqual({
        type: 'connect',
        version,
        clientId,
        cleanStart: clean,
        keepAliveSeconds: keepalive,
        username,
        password,
        will:
          will === null
            ? null
            : {
                topic: will.topic,
                payload: will.payload,
                qos: will.qos,
                isRetained: will.retain,
                delaySeconds: isFive ? delay : 0,
                properties: isFive ? message.ours : null,
              },
        sessionExpirySeconds: isFive ? (chosen.sessionExpiryInterval ?? 0) : clean ? 0 : 0xffffffff,
        receiveMaximum: (isFive ? chosen.receiveMaximum : undefined) ?? 65_535,
        maximumPacketBytes: (isFive ? chosen.maximumPacketSize : undefined) ?? null,
        topicAliasMaximum: (isFive ? chosen.topicAliasMaximum : undefined) ?? 0,
        requestsProblemInformation: (isFive ? chosen.requestProblemInformation : undefined) ?? true,
        requestsResponseInformation: (isFive ? chosen.requestResponseInformation : undefined) ?? false,
        authenticationMethod: (isFive ? chosen.authenticationMethod : undefined) ?? null,
      })
    }))

  it('in a PUBLISH', () =>
    play((random, version) => {
      const qos = qosOf(random)
      const message = messageProperties(random)
      const alias = isIn(random) ? random.between(1, 65_535) : null
      const packet = {
        cmd: 'publish',
        topic: topicOf(random),
        payload: bytesOf(random, oneOf(random, [0, 10, 200, 3000])),
        qos,
        dup: qos > 0 && isIn(random),
        retain: isIn(random),
        messageId: packetIdOf(random),
        properties: { ...message.other, ...(alias === null ? {} : { topicAlias: alias }) },
      }
      expect(decode(version, made(packet, version))).toEqual({
        type: 'publish',
        topic: packet.topic,
        payload: packet.payload,
        qos,
        isDup: packet.dup,
        isRetained: packet.retain,
        packetId: qos === 0 ? 0 : packet.messageId,
        topicAlias: version === 5 ? alias : null,
        properties: version === 5 ? message.ours : null,
      })
    }))

  it('in a PUBACK, PUBREC, PUBREL or PUBCOMP', () =>
    play((random, version) => {
      const cmd = oneOf(random, ['puback', 'pubrec', 'pubrel', 'pubcomp'] as const)
      const codes = cmd === 'puback' || cmd === 'pubrec' ? [0, 0x10, 0x87, 0x97] : [0, 0x92]
      const reasonCode = version === 5 ? oneOf(random, codes) : 0
      const properties = {
        ...some(random, { reasonString: textOf(random) }),
        ...usersOf(random).other,
      }
      const messageId = packetIdOf(random)
      const whole = made({ cmd, messageId, ...(version === 5 ? { reasonCode, properties } : {}) }, version)
      expect(decode(version, whole)).toEqual({ type: cmd, packetId: messageId, reasonCode })
    }))

  it('in a SUBSCRIBE', () =>
    play((random, version) => {
      const isFive = version === 5
      const identifier = isIn(random) ? random.between(1, 268_435_455) : null
      const subscriptions = Array.from({ length: random.between(1, 8) }, () => {
        const topic = filterOf(random)
        const nl = isIn(random) && !topic.startsWith('$share/')
        return { topic, qos: qosOf(random), nl, rap: isIn(random), rh: random.between(0, 2) }
      })
      const properties = {
        ...(identifier === null ? {} : { subscriptionIdentifier: identifier }),
        ...usersOf(random).other,
      }
      const messageId = packetIdOf(random)
      const whole = made({ cmd: 'subscribe', messageId, subscriptions, properties }, version)
      expect(decode(version, whole)).toEqual({
        type: 'subscribe',
        packetId: messageId,
        identifier: isFive ? identifier : null,
        subscriptions: subscriptions.map(({ topic, qos, nl, rap, rh }) => ({
          filter: topic,
          qos,
          isNoLocal: isFive && nl,
          isRetainAsPublished: isFive && rap,
          retainHandling: isFive ? rh : 0,
        })),
      })
    }))

  it('in an UNSUBSCRIBE', () =>
    play((random, version) => {
      const unsubscriptions = Array.from({ length: random.between(1, 8) }, () => filterOf(random))
      const messageId = packetIdOf(random)
      const packet = {
        cmd: 'unsubscribe',
        messageId,
        unsubscriptions,
        properties: { ...usersOf(random).other },
      }
      expect(decode(version, made(packet, version))).toEqual({
        type: 'unsubscribe',
        packetId: messageId,
        filters: unsubscriptions,
      })
    }))

  it('in a PINGREQ, a DISCONNECT or an AUTH', () =>
    play((random, version) => {
      expect(decode(version, made({ cmd: 'pingreq' }, version))).toEqual({ type: 'pingreq' })
      const reasonCode = version === 5 ? oneOf(random, [0, 4, 0x81, 0x93]) : 0
      const chosen = some(random, {
        sessionExpiryInterval: random.between(0, 0xffffffff),
        reasonString: textOf(random),
      })
      const properties = { ...chosen, ...usersOf(random).other }
      expect(decode(version, made({ cmd: 'disconnect', reasonCode, properties }, version))).toEqual({
        type: 'disconnect',
        reasonCode,
        sessionExpirySeconds: (version === 5 ? chosen.sessionExpiryInterval : undefined) ?? null,
      })
      if (version !== 5) return
      const method = textOf(random)
      const auth = { authenticationMethod: method, authenticationData: bytesOf(random, 9) }
      const whole = made({ cmd: 'auth', reasonCode: 0x18, properties: auth }, version)
      expect(decode(version, whole)).toEqual({ type: 'auth', reasonCode: 0x18, method })
    }))
})
