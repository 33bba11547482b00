/** headwater.h, message by message. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { isSkipped } from './compilers.ts'
import { buildDriver, Device, Problem, Result, State, told } from './device.ts'
import { crc16, Flag, frame, message, Type, u16 } from './frames.ts'

const RETRY_MS = 500
const RETRIES = 6
const CONGESTION_MS = 2000

const skipped = isSkipped('the device library', 'cc')
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

const CONNACK = message(Type.connack, Result.acknowledged)
const connect = (flags: number, id = 'dev', keepAlive = 0) =>
  message(Type.connect, flags, 1, u16(keepAlive), id)
const register = (id: number, name: string) => message(Type.register, u16(0), u16(id), name)
const regack = (topic: number, id: number, result = 0) => message(Type.regack, u16(topic), u16(id), result)
const publish = (flags: number, topic: number, id: number, payload: string) =>
  message(Type.publish, flags, u16(topic), u16(id), payload)
const puback = (topic: number, id: number, result = 0) => message(Type.puback, u16(topic), u16(id), result)
const suback = (topic: number, id: number, result = 0) =>
  message(Type.suback, Flag.qos1, u16(topic), u16(id), result)
const pub = (topic: number, text: string, flags: number = Flag.qos1) =>
  `pub ${topic} ${flags} ${hex(Buffer.from(text))}`

describe.skipIf(skipped)('the device library', () => {
  let framed: ReturnType<typeof buildDriver>
  let device: Device
  const devices: Device[] = []

  beforeAll(() => {
    framed = buildDriver()
  })
  afterAll(() => framed?.remove())
  afterEach(() => {
    for (const each of devices.splice(0)) each.end()
  })

  function started(path = framed.path): Device {
    device = new Device(path)
    devices.push(device)
    return device
  }

  /** Gives it a message of the gateway. @returns what it says and does */
  const hears = (...messages: Buffer[]) => device.do(...messages.map((each) => `in ${hex(frame(each))}`))

  async function connected({ keepAlive = 0 } = {}): Promise<void> {
    started()
    await device.do(
      `new dev ${keepAlive}`,
      'topic 0 name t/one',
      'topic 1 id 7',
      'topic 2 short ab',
      'connect',
    )
    await device.do(`in ${hex(frame(CONNACK))}`)
  }

  it('has the frame of its documentation', () => {
    expect(crc16(Buffer.from('123456789'))).toBe(0x29b1)
    expect(hex(frame(message(Type.pingreq)))).toBe('00050216099a00')
  })

  it('connects clean after a reset, with the session of before where it is told to', async () => {
    started()
    const lines = await device.do('new dev 30', 'connect')
    expect(device.sent(lines)).toEqual([connect(Flag.clean, 'dev', 30)])
    expect(told(await hears(CONNACK))).toEqual([`state ${State.connected}`])
    const again = await device.do('new dev 30 resume', 'connect')
    expect(device.sent(again)).toEqual([connect(0, 'dev', 30)])
  })

  it('repeats CONNECT with waits that double, up to the maximum, for as long as it takes', async () => {
    started()
    await device.do('new dev 0', 'connect')
    for (const wait of [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]) {
      expect(device.sent(await device.pass(wait - 1))).toEqual([])
      expect(device.sent(await device.pass(1))).toEqual([connect(Flag.clean)])
    }
    expect(told(await hears(CONNACK))).toEqual([`state ${State.connected}`])
  })

  it('is told when the gateway refuses it, and asks again later', async () => {
    started()
    await device.do('new dev 0', 'connect')
    const refusal = message(Type.connack, Result.notSupported)
    expect(told(await hears(refusal))).toEqual([`state ${State.refused}`])
    expect(device.sent(await device.pass(29_999))).toEqual([])
    expect(device.sent(await device.pass(1))).toEqual([connect(Flag.clean)])
    expect(told(await hears(CONNACK))).toEqual([`state ${State.connected}`])
  })

  it('waits where the gateway is congested at CONNECT', async () => {
    started()
    await device.do('new dev 0', 'connect')
    expect(told(await hears(message(Type.connack, Result.congested)))).toEqual([])
    expect(device.sent(await device.pass(CONGESTION_MS - 1))).toEqual([])
    expect(device.sent(await device.pass(1))).toEqual([connect(Flag.clean)])
  })

  it('registers a name before the first message, once a connection', async () => {
    await connected()
    expect(device.sent(await device.do(pub(0, 'x')))).toEqual([register(1, 't/one')])
    expect(device.sent(await hears(regack(9, 1)))).toEqual([publish(Flag.qos1, 9, 2, 'x')])
    expect(told(await hears(puback(9, 2)))).toEqual(['result 0 0 0'])
    expect(device.sent(await device.do(pub(0, 'y')))).toEqual([publish(Flag.qos1, 9, 3, 'y')])
  })

  it('publishes to predefined ids and short names at once', async () => {
    await connected()
    expect(device.sent(await device.do(pub(1, 'x')))).toEqual([
      publish(Flag.qos1 | Flag.predefined, 7, 1, 'x'),
    ])
    expect(told(await hears(puback(7, 1)))).toEqual(['result 0 1 0'])
    const short = publish(Flag.qos1 | Flag.retain | Flag.short, 0x6162, 2, 'y')
    expect(device.sent(await device.do(pub(2, 'y', Flag.qos1 | Flag.retain)))).toEqual([short])
  })

  it('has one message in flight, and says when it is busy or a payload is too long', async () => {
    await connected()
    expect(told(await device.do(pub(1, 'x'), pub(1, 'y')))).toEqual([
      `error ${Problem.none}`,
      `error ${Problem.busy}`,
    ])
    expect(told(await device.do(pub(1, 'x'.repeat(122))))).toEqual([`error ${Problem.tooLong}`])
    await hears(puback(7, 1))
    const longest = 'x'.repeat(121)
    expect(device.sent(await device.do(pub(1, longest)))).toEqual([
      publish(Flag.qos1 | Flag.predefined, 7, 2, longest),
    ])
  })

  it('sends QoS 0 beside the message in flight, without a result', async () => {
    await connected()
    await device.do(pub(1, 'x'))
    const lines = await device.do(pub(2, 'y', 0))
    expect(device.sent(lines)).toEqual([publish(Flag.short, 0x6162, 0, 'y')])
    expect(told(lines)).toEqual([`error ${Problem.none}`])
    await hears(puback(7, 1))
    expect(device.sent(await device.do(pub(0, 'z', 0)))).toEqual([register(2, 't/one')])
    expect(device.sent(await hears(regack(5, 2)))).toEqual([publish(0, 5, 0, 'z')])
    expect((await device.read()).isBusy).toBe(false)
  })

  it('repeats a message with DUP and the same id, waiting twice as long each time', async () => {
    await connected()
    await device.do(pub(1, 'x'))
    for (const wait of [500, 1000, 2000, 4000, 8000, 8000]) {
      expect(device.sent(await device.pass(wait - 1))).toEqual([])
      expect(device.sent(await device.pass(1))).toEqual([
        publish(Flag.qos1 | Flag.dup | Flag.predefined, 7, 1, 'x'),
      ])
    }
    expect((await device.read()).repeated).toBe(RETRIES)
  })

  it('takes no answer for another message’s', async () => {
    await connected()
    await device.do(pub(1, 'x'))
    await hears(puback(7, 1))
    await device.do(pub(1, 'y'))
    expect(told(await hears(puback(7, 1), puback(7, 3), regack(7, 2), CONNACK, suback(7, 2)))).toEqual([])
    expect((await device.read()).isBusy).toBe(true)
    expect(told(await hears(puback(7, 2)))).toEqual(['result 0 1 0'])
  })

  it('takes a silent gateway for lost, connects again to its session and repeats what was in flight', async () => {
    await connected()
    await device.do(pub(0, 'x'))
    await hears(regack(9, 1))
    let lines: string[] = []
    for (let ms = 0; ms < 40_000; ms += 100) lines.push(...(await device.pass(100)))
    expect(told(lines)).toEqual([`state ${State.connecting}`])
    expect(device.sent(lines).at(-1)).toEqual(connect(0))
    lines = await hears(CONNACK)
    expect(device.sent(lines)).toEqual([register(3, 't/one')])
    expect(device.sent(await hears(regack(4, 3)))).toEqual([publish(Flag.qos1 | Flag.dup, 4, 2, 'x')])
    expect(told(await hears(puback(4, 2)))).toEqual(['result 0 0 0'])
  })

  it('connects again when the gateway says DISCONNECT, and not faster and faster', async () => {
    await connected()
    const waits: number[] = []
    for (let round = 0; round < 4; round++) {
      expect(told(await hears(message(Type.disconnect)))).toEqual([`state ${State.connecting}`])
      let ms = 0
      while (device.sent(await device.pass(50)).length === 0) ms += 50
      waits.push(ms + 50)
      await hears(CONNACK)
    }
    expect(waits).toEqual([500, 1000, 2000, 4000])
  })

  it('waits and repeats where the gateway is congested, as often as it takes', async () => {
    await connected()
    await device.do(pub(1, 'x'))
    for (let round = 0; round < 3 * RETRIES; round++) {
      expect(told(await hears(puback(7, 1, Result.congested)))).toEqual([])
      expect(device.sent(await device.pass(CONGESTION_MS - 1))).toEqual([])
      expect(device.sent(await device.pass(1))).toEqual([
        publish(Flag.qos1 | Flag.dup | Flag.predefined, 7, 1, 'x'),
      ])
    }
    expect(told(await hears(puback(7, 1)))).toEqual(['result 0 1 0'])
  })

  it('registers again where the gateway lost its ids, all of them', async () => {
    await connected()
    await device.do('topic 3 name t/two', pub(0, 'a'))
    await hears(regack(1, 1), puback(1, 2))
    await device.do(pub(3, 'b'))
    await hears(regack(2, 3), puback(2, 4))
    await device.do(pub(3, 'c'))
    expect(told(await hears(puback(2, 5, Result.invalidTopic)))).toEqual([])
    expect(device.sent(await device.pass(RETRY_MS))).toEqual([register(6, 't/two')])
    expect(device.sent(await hears(regack(1, 6)))).toEqual([publish(Flag.qos1 | Flag.dup, 1, 5, 'c')])
    await hears(puback(1, 5))
    // its id of before is now another's
    expect(device.sent(await device.do(pub(0, 'd')))).toEqual([register(7, 't/one')])
  })

  it('registers again where the gateway does not know the id of a message with QoS 0', async () => {
    await connected()
    await device.do(pub(0, 'a', 0))
    await hears(regack(1, 1))
    expect(await hears(puback(1, 0, Result.invalidTopic))).toEqual([])
    expect(device.sent(await device.do(pub(0, 'b', 0)))).toEqual([register(2, 't/one')])
  })

  it('tells what the gateway refuses', async () => {
    await connected()
    await device.do(pub(1, 'x'))
    expect(told(await hears(puback(7, 1, Result.invalidTopic)))).toEqual([
      `result 0 1 ${Result.invalidTopic}`,
    ])
    await device.do(pub(0, 'x'))
    expect(told(await hears(regack(0, 2, Result.notSupported)))).toEqual([
      `result 0 0 ${Result.notSupported}`,
    ])
    expect((await device.read()).isBusy).toBe(false)
  })

  it('forgets a message that is cancelled', async () => {
    await connected()
    await device.do(pub(1, 'x'), 'cancel')
    expect(device.sent(await device.pass(60_000))).toEqual([])
    expect(told(await hears(puback(7, 1)))).toEqual([])
    expect(device.sent(await device.do(pub(1, 'y')))).toEqual([
      publish(Flag.qos1 | Flag.predefined, 7, 2, 'y'),
    ])
    // what waited behind it goes on
    expect(device.sent(await device.do('sub 1 0'))).toEqual([])
    expect(device.sent(await device.do('cancel'))).toEqual([
      message(Type.subscribe, Flag.predefined, u16(3), u16(7)),
    ])
  })

  describe('subscriptions', () => {
    it('are asked for one after the other, also before it is connected, and again in each connection', async () => {
      started()
      await device.do(
        'new dev 0',
        'topic 0 name a/+',
        'topic 1 id 7',
        'topic 2 short ab',
        'sub 0 32',
        'sub 1 0',
      )
      await device.do('sub 2 32', 'connect')
      const subscribe = (flags: number, id: number, topic: string | Buffer) =>
        message(Type.subscribe, flags, u16(id), topic)
      const all = async (id: number) => {
        expect(device.sent(await hears(CONNACK))).toEqual([subscribe(Flag.qos1, id, 'a/+')])
        let lines = await hears(suback(0, id))
        expect(told(lines)).toEqual(['result 1 0 0'])
        expect(device.sent(lines)).toEqual([subscribe(Flag.predefined, id + 1, u16(7))])
        lines = await hears(suback(7, id + 1))
        expect(device.sent(lines)).toEqual([subscribe(Flag.qos1 | Flag.short, id + 2, 'ab')])
        expect(told(await hears(suback(0, id + 2, Result.notSupported)))).toEqual([
          `result 1 2 ${Result.notSupported}`,
        ])
        expect(device.sent(await device.pass(60_000))).toEqual([])
      }
      await all(1)
      await hears(message(Type.disconnect))
      await device.pass(RETRY_MS)
      await all(4)
    })

    it('are repeated with DUP, and end with UNSUBSCRIBE', async () => {
      await connected()
      await device.do('sub 0 32')
      expect(device.sent(await device.pass(RETRY_MS))).toEqual([
        message(Type.subscribe, Flag.qos1 | Flag.dup, u16(1), 't/one'),
      ])
      await hears(suback(3, 1))
      expect(device.sent(await device.do('unsub 0'))).toEqual([message(Type.unsubscribe, 0, u16(2), 't/one')])
      expect(told(await hears(message(Type.unsuback, u16(2))))).toEqual(['result 2 0 0'])
      await hears(message(Type.disconnect))
      await device.pass(RETRY_MS)
      expect(device.sent(await hears(CONNACK))).toEqual([])
    })

    it('stay where one is asked for again before its end was answered', async () => {
      await connected()
      await device.do('sub 0 32')
      await hears(suback(3, 1))
      await device.do('unsub 0', 'sub 0 0')
      expect(device.sent(await hears(message(Type.unsuback, u16(2))))).toEqual([
        message(Type.subscribe, 0, u16(3), 't/one'),
      ])
    })

    it('bring messages, acknowledged with what the firmware makes of them', async () => {
      await connected()
      const come = publish(Flag.qos1 | Flag.predefined, 7, 900, 'hello')
      let lines = await hears(come)
      expect(told(lines)).toEqual([`message 1 7 ${Flag.qos1 | Flag.predefined} ${hex(Buffer.from('hello'))}`])
      expect(device.sent(lines)).toEqual([puback(7, 900)])
      await device.do(`answer ${Result.congested}`)
      expect(device.sent(await hears(publish(Flag.qos1 | Flag.predefined, 7, 901, 'x')))).toEqual([
        puback(7, 901, Result.congested),
      ])
      await device.do(`answer ${Result.acknowledged}`)
      lines = await hears(publish(Flag.qos1 | Flag.dup | Flag.predefined, 7, 901, 'x'))
      expect(told(lines)).toHaveLength(1)
      expect(device.sent(lines)).toEqual([puback(7, 901)])
      expect(device.sent(await hears(publish(Flag.predefined, 7, 0, 'qos 0')))).toEqual([])
    })

    it('bring a repeated message once', async () => {
      await connected()
      await hears(publish(Flag.qos1 | Flag.predefined, 7, 900, 'hello'))
      const lines = await hears(publish(Flag.qos1 | Flag.dup | Flag.predefined, 7, 900, 'hello'))
      expect(told(lines)).toEqual([])
      expect(device.sent(lines)).toEqual([puback(7, 900)])
      // a gateway that began anew may have that id for another message
      await hears(message(Type.disconnect))
      await device.pass(RETRY_MS)
      await hears(CONNACK)
      expect(
        told(await hears(publish(Flag.qos1 | Flag.dup | Flag.predefined, 7, 900, 'other'))),
      ).toHaveLength(1)
    })

    it('with wildcards are told the names that the gateway gives ids', async () => {
      await connected()
      const name = (topic: number, id: number, text: string) =>
        message(Type.register, u16(topic), u16(id), text)
      let lines = await hears(name(21, 5, 'a/b'))
      expect(told(lines)).toEqual(['name 21 a/b'])
      expect(device.sent(lines)).toEqual([regack(21, 5)])
      await device.do(`accept ${Result.notSupported}`)
      expect(device.sent(await hears(name(22, 6, 'a/c')))).toEqual([regack(22, 6, Result.notSupported)])
      // one of its own names it knows
      await device.do('sub 0 32')
      lines = await hears(name(23, 7, 't/one'))
      expect(told(lines)).toEqual([])
      expect(device.sent(lines)).toEqual([regack(23, 7)])
      await hears(publish(0, 23, 0, 'x'))
      expect(await device.do('of 0', 'of 1')).toEqual(['value 1', 'value 0'])
    })

    it('bring nothing before the device is connected: its gateway is in another session', async () => {
      started()
      await device.do('new dev 0', 'connect')
      const lines = await hears(publish(Flag.qos1 | Flag.predefined, 7, 900, 'hello'), puback(7, 1, 2))
      expect(lines).toEqual([])
    })
  })

  describe('keep alive', () => {
    it('is a PINGREQ where nothing was sent, or nothing was heard, for so long', async () => {
      await connected({ keepAlive: 10 })
      expect(await device.pass(9999)).toEqual([])
      expect(device.sent(await device.pass(1))).toEqual([message(Type.pingreq)])
      await hears(message(Type.pingresp))
      for (let ms = 0; ms < 9000; ms += 3000) {
        await device.pass(3000)
        await device.do(pub(2, 'qos 0', 0))
      }
      expect(device.sent(await device.pass(1000))).toEqual([message(Type.pingreq)])
    })

    it('finds that the gateway is lost, and gives way to a message', async () => {
      await connected({ keepAlive: 10 })
      await device.pass(10_000)
      expect(device.sent(await device.do(pub(1, 'x')))).toEqual([
        publish(Flag.qos1 | Flag.predefined, 7, 1, 'x'),
      ])
      await hears(puback(7, 1))
      const lines: string[] = []
      for (let ms = 0; ms < 60_000; ms += 100) lines.push(...(await device.pass(100)))
      expect(told(lines)).toEqual([`state ${State.connecting}`])
    })

    it('answers the gateway’s own PINGREQ', async () => {
      await connected()
      expect(device.sent(await hears(message(Type.pingreq)))).toEqual([message(Type.pingresp)])
    })

    it('tells how long the device may halt', async () => {
      await connected({ keepAlive: 10 })
      await device.pass(4000)
      expect((await device.read()).dueMs).toBe(6000)
      await device.do(pub(1, 'x'))
      await device.pass(100)
      expect((await device.read()).dueMs).toBe(RETRY_MS - 100)
    })
  })

  describe('sleep', () => {
    it('is agreed with the gateway; waking asks for what it kept', async () => {
      await connected()
      expect(device.sent(await device.do('sleep 60'))).toEqual([message(Type.disconnect, u16(60))])
      expect(told(await hears(message(Type.disconnect)))).toEqual([`state ${State.asleep}`])
      // the answer came twice
      expect(told(await hears(message(Type.disconnect)))).toEqual([])
      expect(await device.pass(59_000)).toEqual([])
      let lines = await device.do('wake')
      expect(told(lines)).toEqual([`state ${State.awake}`, `error ${Problem.none}`])
      expect(device.sent(lines)).toEqual([message(Type.pingreq, 'dev')])
      lines = await hears(publish(Flag.qos1 | Flag.predefined, 7, 900, 'kept'))
      expect(device.sent(lines)).toEqual([puback(7, 900)])
      expect(told(await hears(message(Type.pingresp)))).toEqual([`state ${State.asleep}`])
      expect(told(await device.do('connect'))).toEqual([`state ${State.connecting}`])
      expect(told(await hears(CONNACK))).toEqual([`state ${State.connected}`])
    })

    it('goes on to be lost where the gateway does not know it any more', async () => {
      await connected()
      await device.do('sleep 60')
      await hears(message(Type.disconnect))
      await device.do('wake')
      expect(told(await hears(message(Type.disconnect)))).toEqual([`state ${State.connecting}`])
      expect(device.sent(await device.pass(RETRY_MS))).toEqual([connect(0)])
    })

    it('comes also without an answer; not while a message is in flight, and not unconnected', async () => {
      await connected()
      await device.do('sleep 60')
      const lines: string[] = []
      for (let ms = 0; ms < 40_000; ms += 100) lines.push(...(await device.pass(100)))
      expect(told(lines)).toEqual([`state ${State.asleep}`])
      expect(told(await device.do('sleep 60'))).toEqual([`error ${Problem.notNow}`])
      await connected()
      expect(told(await device.do(pub(1, 'x'), 'sleep 60'))).toEqual([
        `error ${Problem.none}`,
        `error ${Problem.busy}`,
      ])
      expect(told(await device.do('wake'))).toEqual([`error ${Problem.notNow}`])
    })
  })

  it('says goodbye', async () => {
    await connected()
    expect(device.sent(await device.do('disconnect'))).toEqual([message(Type.disconnect)])
    expect(told(await hears(message(Type.disconnect)))).toEqual([`state ${State.off}`])
    expect(await device.pass(100_000)).toEqual([])
    expect(device.sent(await device.do('connect'))).toEqual([connect(0)])
  })

  describe('time', () => {
    const UNIX = 1_760_000_000_000
    const answer = (t1: number, t2: number, t3: number, trust?: number) => {
      const payload = Buffer.alloc(trust === undefined ? 24 : 25)
      payload.writeBigUInt64BE(BigInt(t1), 0)
      payload.writeBigUInt64BE(BigInt(t2), 8)
      payload.writeBigUInt64BE(BigInt(t3), 16)
      if (trust !== undefined) payload[24] = trust
      return message(Type.publish, Flag.predefined, u16(0xff01), u16(0), payload)
    }
    const request = (t1: number) => {
      const payload = Buffer.alloc(8)
      payload.writeBigUInt64BE(BigInt(t1))
      return message(Type.publish, Flag.predefined, u16(0xff00), u16(0), payload)
    }

    it('is asked for, and is the gateway’s plus half of the way', async () => {
      await connected()
      await device.pass(5000)
      expect((await device.read()).unixMs).toBe(0)
      await device.do('time')
      expect(device.sent(await device.pass(10))).toEqual([request(5010)])
      await device.pass(40)
      await hears(answer(5010, UNIX, UNIX + 10, 1))
      expect(await device.read()).toMatchObject({ unixMs: UNIX + 25, isTrusted: true })
      await device.pass(1000)
      expect((await device.read()).unixMs).toBe(UNIX + 1025)
    })

    it('is the gateway’s own where the way there and back is less than nothing, by a coarse clock', async () => {
      await connected()
      await device.do('time')
      const [asked] = device.sent(await device.pass(0))
      await hears(answer(Number(asked!.readBigUInt64BE(7)), UNIX, UNIX + 3, 1))
      expect((await device.read()).unixMs).toBe(UNIX + 3)
    })

    it('is asked for again without an answer, and each hour; over the wrap of the device’s clock', async () => {
      await connected()
      await device.pass(2 ** 32 - 20_000)
      await device.do('time')
      expect(device.sent(await device.pass(0))).toEqual([request(2 ** 32 - 20_000)])
      expect(device.sent(await device.pass(7999))).toEqual([])
      const [second] = device.sent(await device.pass(1))
      await hears(answer(2 ** 32 - 20_000, UNIX, UNIX))
      expect((await device.read()).unixMs).toBe(0)
      expect(second).toEqual(request(2 ** 32 - 12_000))
      await hears(answer(2 ** 32 - 12_000, UNIX, UNIX, 0))
      expect(await device.read()).toMatchObject({ unixMs: UNIX, isTrusted: false })
      device.now -= 2 ** 32
      expect(device.sent(await device.pass(3_599_999))).toEqual([])
      expect(device.sent(await device.pass(1))).toHaveLength(1)
      expect((await device.read()).unixMs).toBe(UNIX + 3_600_000)
    })
  })

  describe('the receiver', () => {
    const ping = hex(frame(message(Type.pingreq)))

    it('takes a stream in pieces, split at every point, and frames that share delimiters', async () => {
      await connected()
      const stream = `${ping}${ping}`
      for (let at = 0; at <= stream.length; at += 2) {
        const lines = await device.do(`in ${stream.slice(0, at)}`, `in ${stream.slice(at)}`)
        expect(device.sent(lines)).toHaveLength(2)
      }
      expect(device.sent(await device.do('in 00050216099a00050216099a00'))).toHaveLength(2)
      expect((await device.read()).dropped).toBe(0)
    })

    it('drops and counts every frame with one bit turned over', async () => {
      await connected()
      const bytes = frame(publish(Flag.predefined, 7, 0, 'hello'))
      let bits = 0
      for (let bit = 8; bit < (bytes.length - 1) * 8; bit++, bits++) {
        const damaged = Buffer.from(bytes)
        damaged[bit >> 3]! ^= 1 << (bit & 7)
        expect(await device.do(`in ${hex(damaged)}`)).toEqual([])
      }
      expect((await device.read()).dropped).toBeGreaterThanOrEqual(bits)
      expect(told(await device.do(`in ${hex(bytes)}`))).toHaveLength(1)
    })

    it('drops what is too long, too short, or not as long as it says', async () => {
      await connected()
      const raw = (bytes: Buffer) => device.do(`in ${hex(frame(bytes))}`)
      expect(await raw(Buffer.concat([Buffer.from([3]), message(Type.pingreq).subarray(1)]))).toEqual([])
      expect(await raw(Buffer.from([1]))).toEqual([])
      expect(await raw(message(Type.publish, Flag.predefined, u16(7), u16(0), 'x'.repeat(122)))).toEqual([])
      expect((await device.read()).dropped).toBe(3)
      expect(
        told(await raw(message(Type.publish, Flag.predefined, u16(7), u16(0), 'x'.repeat(121)))),
      ).toHaveLength(1)
      for (const short of [
        message(Type.publish, 0),
        message(Type.register, 1),
        message(Type.puback),
        message(Type.connack),
      ])
        expect(await raw(short)).toEqual([])
    })
  })

  it('carries the longest message that an MTU of 252 has, in one block', async () => {
    const wide = buildDriver('HW_MTU=252')
    try {
      started(wide.path)
      await device.do('new dev 0', 'topic 1 id 7', 'connect')
      await hears(CONNACK)
      for (const byte of ['x', '\0']) {
        const payload = byte.repeat(245)
        const lines = await device.do(pub(1, payload, 0))
        expect(device.sent(lines)).toEqual([publish(Flag.predefined, 7, 0, payload)])
        expect(told(await hears(publish(Flag.predefined, 7, 0, payload)))).toHaveLength(1)
      }
      // 254 bytes without a zero are a full block: some encoders end it with an empty one
      const full = publish(Flag.predefined | Flag.qos1, 0x0707, 0x0101, 'x'.repeat(245))
      const bytes = frame(full)
      expect([bytes.length, bytes[1]]).toEqual([257, 0xff])
      const ended = Buffer.concat([bytes.subarray(0, -1), Buffer.of(1, 0)])
      for (const each of [bytes, ended]) expect(told(await device.do(`in ${hex(each)}`))).toHaveLength(1)
    } finally {
      wide.remove()
    }
  })

  it('leaves a will where it is compiled in', async () => {
    const withWill = buildDriver('HW_WITH_WILL=1')
    try {
      started(withWill.path)
      expect(device.sent(await device.do('new dev 0', 'connect'))).toEqual([connect(Flag.clean | Flag.will)])
      expect(device.sent(await hears(message(Type.willTopicReq)))).toEqual([
        message(Type.willTopic, Flag.qos1 | Flag.retain, 'will/topic'),
      ])
      expect(device.sent(await hears(message(Type.willMsgReq)))).toEqual([message(Type.willMsg, 'gone')])
      expect(told(await hears(CONNACK))).toEqual([`state ${State.connected}`])
    } finally {
      withWill.remove()
    }
  })

  it('speaks bare messages where a datagram is the frame', async () => {
    const bare = buildDriver('HW_BARE=1')
    try {
      device = new Device(bare.path, { isBare: true })
      devices.push(device)
      const lines = await device.do('new dev 0', 'topic 1 id 7', 'connect', `in ${hex(CONNACK)}`, pub(1, 'x'))
      expect(device.sent(lines)).toEqual([
        connect(Flag.clean),
        publish(Flag.qos1 | Flag.predefined, 7, 1, 'x'),
      ])
      await device.do('in 0216ff', 'in 02', 'in 0316')
      expect(await device.read()).toMatchObject({ dropped: 3, isBusy: true })
      expect(told(await device.do(`in ${hex(puback(7, 1))}`))).toEqual(['result 0 1 0'])
    } finally {
      bare.remove()
    }
  })
})
