/** headwater.h, message by message: connecting and publishing. Its other parts have files of their own. */
import { expect, it } from 'vitest'
import { buildDriver, Problem, Result, State, told } from './device.ts'
import {
  CONGESTION_MS,
  CONNACK,
  connect,
  describeDevice,
  hex,
  pub,
  puback,
  publish,
  RETRIES,
  RETRY_MS,
  regack,
  register,
  suback,
} from './device-bench.ts'
import { crc16, Flag, frame, message, Type, u16 } from './frames.ts'

describeDevice('the device library', (bench) => {
  const { connected, hears, started } = bench

  it('has the frame of its documentation', () => {
    expect(crc16(Buffer.from('123456789'))).toBe(0x29b1)
    expect(hex(frame(message(Type.pingreq)))).toBe('00050216099a00')
  })

  it('connects clean after a reset, with the session of before where it is told to', async () => {
    started()
    const lines = await bench.device.do('new dev 30', 'connect')
    expect(bench.device.sent(lines)).toEqual([connect(Flag.clean, 'dev', 30)])
    expect(told(await hears(CONNACK))).toEqual([`state ${State.connected}`])
    const again = await bench.device.do('new dev 30 resume', 'connect')
    expect(bench.device.sent(again)).toEqual([connect(0, 'dev', 30)])
  })

  it('repeats CONNECT with waits that double, up to the maximum, for as long as it takes', async () => {
    started()
    await bench.device.do('new dev 0', 'connect')
    for (const wait of [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]) {
      expect(bench.device.sent(await bench.device.pass(wait - 1))).toEqual([])
      expect(bench.device.sent(await bench.device.pass(1))).toEqual([connect(Flag.clean)])
    }
    expect(told(await hears(CONNACK))).toEqual([`state ${State.connected}`])
  })

  it('is told when the gateway refuses it, and asks again later', async () => {
    started()
    await bench.device.do('new dev 0', 'connect')
    const refusal = message(Type.connack, Result.notSupported)
    expect(told(await hears(refusal))).toEqual([`state ${State.refused}`])
    expect(bench.device.sent(await bench.device.pass(29_999))).toEqual([])
    expect(bench.device.sent(await bench.device.pass(1))).toEqual([connect(Flag.clean)])
    expect(told(await hears(CONNACK))).toEqual([`state ${State.connected}`])
  })

  it('waits where the gateway is congested at CONNECT', async () => {
    started()
    await bench.device.do('new dev 0', 'connect')
    expect(told(await hears(message(Type.connack, Result.congested)))).toEqual([])
    expect(bench.device.sent(await bench.device.pass(CONGESTION_MS - 1))).toEqual([])
    expect(bench.device.sent(await bench.device.pass(1))).toEqual([connect(Flag.clean)])
  })

  it('registers a name before the first message, once a connection', async () => {
    await connected()
    expect(bench.device.sent(await bench.device.do(pub(0, 'x')))).toEqual([register(1, 't/one')])
    expect(bench.device.sent(await hears(regack(9, 1)))).toEqual([publish(Flag.qos1, 9, 2, 'x')])
    expect(told(await hears(puback(9, 2)))).toEqual(['result 0 0 0'])
    expect(bench.device.sent(await bench.device.do(pub(0, 'y')))).toEqual([publish(Flag.qos1, 9, 3, 'y')])
  })

  it('publishes to predefined ids and short names at once', async () => {
    await connected()
    expect(bench.device.sent(await bench.device.do(pub(1, 'x')))).toEqual([
      publish(Flag.qos1 | Flag.predefined, 7, 1, 'x'),
    ])
    expect(told(await hears(puback(7, 1)))).toEqual(['result 0 1 0'])
    const short = publish(Flag.qos1 | Flag.retain | Flag.short, 0x6162, 2, 'y')
    expect(bench.device.sent(await bench.device.do(pub(2, 'y', Flag.qos1 | Flag.retain)))).toEqual([short])
  })

  it('has one message in flight, and says when it is busy or a payload is too long', async () => {
    await connected()
    expect(told(await bench.device.do(pub(1, 'x'), pub(1, 'y')))).toEqual([
      `error ${Problem.none}`,
      `error ${Problem.busy}`,
    ])
    expect(told(await bench.device.do(pub(1, 'x'.repeat(122))))).toEqual([`error ${Problem.tooLong}`])
    await hears(puback(7, 1))
    const longest = 'x'.repeat(121)
    expect(bench.device.sent(await bench.device.do(pub(1, longest)))).toEqual([
      publish(Flag.qos1 | Flag.predefined, 7, 2, longest),
    ])
  })

  it('sends QoS 0 beside the message in flight, without a result', async () => {
    await connected()
    await bench.device.do(pub(1, 'x'))
    const lines = await bench.device.do(pub(2, 'y', 0))
    expect(bench.device.sent(lines)).toEqual([publish(Flag.short, 0x6162, 0, 'y')])
    expect(told(lines)).toEqual([`error ${Problem.none}`])
    await hears(puback(7, 1))
    expect(bench.device.sent(await bench.device.do(pub(0, 'z', 0)))).toEqual([register(2, 't/one')])
    expect(bench.device.sent(await hears(regack(5, 2)))).toEqual([publish(0, 5, 0, 'z')])
    expect((await bench.device.read()).isBusy).toBe(false)
  })

  it('repeats a message with DUP and the same id, waiting twice as long each time', async () => {
    await connected()
    await bench.device.do(pub(1, 'x'))
    for (const wait of [500, 1000, 2000, 4000, 8000, 8000]) {
      expect(bench.device.sent(await bench.device.pass(wait - 1))).toEqual([])
      expect(bench.device.sent(await bench.device.pass(1))).toEqual([
        publish(Flag.qos1 | Flag.dup | Flag.predefined, 7, 1, 'x'),
      ])
    }
    expect((await bench.device.read()).repeated).toBe(RETRIES)
  })

  it('takes no answer for another message’s', async () => {
    await connected()
    await bench.device.do(pub(1, 'x'))
    await hears(puback(7, 1))
    await bench.device.do(pub(1, 'y'))
    expect(told(await hears(puback(7, 1), puback(7, 3), regack(7, 2), CONNACK, suback(7, 2)))).toEqual([])
    expect((await bench.device.read()).isBusy).toBe(true)
    expect(told(await hears(puback(7, 2)))).toEqual(['result 0 1 0'])
  })

  it('takes a silent gateway for lost, connects again to its session and repeats what was in flight', async () => {
    await connected()
    await bench.device.do(pub(0, 'x'))
    await hears(regack(9, 1))
    let lines: string[] = []
    for (let ms = 0; ms < 40_000; ms += 100) lines.push(...(await bench.device.pass(100)))
    expect(told(lines)).toEqual([`state ${State.connecting}`])
    expect(bench.device.sent(lines).at(-1)).toEqual(connect(0))
    lines = await hears(CONNACK)
    expect(bench.device.sent(lines)).toEqual([register(3, 't/one')])
    expect(bench.device.sent(await hears(regack(4, 3)))).toEqual([publish(Flag.qos1 | Flag.dup, 4, 2, 'x')])
    expect(told(await hears(puback(4, 2)))).toEqual(['result 0 0 0'])
  })

  it('connects again when the gateway says DISCONNECT, and not faster and faster', async () => {
    await connected()
    const waits: number[] = []
    for (let round = 0; round < 4; round++) {
      expect(told(await hears(message(Type.disconnect)))).toEqual([`state ${State.connecting}`])
      let ms = 0
      while (bench.device.sent(await bench.device.pass(50)).length === 0) ms += 50
      waits.push(ms + 50)
      await hears(CONNACK)
    }
    expect(waits).toEqual([500, 1000, 2000, 4000])
  })

  it('waits and repeats where the gateway is congested, as often as it takes', async () => {
    await connected()
    await bench.device.do(pub(1, 'x'))
    for (let round = 0; round < 3 * RETRIES; round++) {
      expect(told(await hears(puback(7, 1, Result.congested)))).toEqual([])
      expect(bench.device.sent(await bench.device.pass(CONGESTION_MS - 1))).toEqual([])
      expect(bench.device.sent(await bench.device.pass(1))).toEqual([
        publish(Flag.qos1 | Flag.dup | Flag.predefined, 7, 1, 'x'),
      ])
    }
    expect(told(await hears(puback(7, 1)))).toEqual(['result 0 1 0'])
  })

  it('registers again where the gateway lost its ids, all of them', async () => {
    await connected()
    await bench.device.do('topic 3 name t/two', pub(0, 'a'))
    await hears(regack(1, 1), puback(1, 2))
    await bench.device.do(pub(3, 'b'))
    await hears(regack(2, 3), puback(2, 4))
    await bench.device.do(pub(3, 'c'))
    expect(told(await hears(puback(2, 5, Result.invalidTopic)))).toEqual([])
    expect(bench.device.sent(await bench.device.pass(RETRY_MS))).toEqual([register(6, 't/two')])
    expect(bench.device.sent(await hears(regack(1, 6)))).toEqual([publish(Flag.qos1 | Flag.dup, 1, 5, 'c')])
    await hears(puback(1, 5))
    // its id of before is now another's
    expect(bench.device.sent(await bench.device.do(pub(0, 'd')))).toEqual([register(7, 't/one')])
  })

  it('registers again where the gateway does not know the id of a message with QoS 0', async () => {
    await connected()
    await bench.device.do(pub(0, 'a', 0))
    await hears(regack(1, 1))
    expect(await hears(puback(1, 0, Result.invalidTopic))).toEqual([])
    expect(bench.device.sent(await bench.device.do(pub(0, 'b', 0)))).toEqual([register(2, 't/one')])
  })

  it('tells what the gateway refuses', async () => {
    await connected()
    await bench.device.do(pub(1, 'x'))
    expect(told(await hears(puback(7, 1, Result.invalidTopic)))).toEqual([
      `result 0 1 ${Result.invalidTopic}`,
    ])
    await bench.device.do(pub(0, 'x'))
    expect(told(await hears(regack(0, 2, Result.notSupported)))).toEqual([
      `result 0 0 ${Result.notSupported}`,
    ])
    expect((await bench.device.read()).isBusy).toBe(false)
  })

  it('forgets a message that is cancelled', async () => {
    await connected()
    await bench.device.do(pub(1, 'x'), 'cancel')
    expect(bench.device.sent(await bench.device.pass(60_000))).toEqual([])
    expect(told(await hears(puback(7, 1)))).toEqual([])
    expect(bench.device.sent(await bench.device.do(pub(1, 'y')))).toEqual([
      publish(Flag.qos1 | Flag.predefined, 7, 2, 'y'),
    ])
    // what waited behind it goes on
    expect(bench.device.sent(await bench.device.do('sub 1 0'))).toEqual([])
    expect(bench.device.sent(await bench.device.do('cancel'))).toEqual([
      message(Type.subscribe, Flag.predefined, u16(3), u16(7)),
    ])
  })

  it('says goodbye', async () => {
    await connected()
    expect(bench.device.sent(await bench.device.do('disconnect'))).toEqual([message(Type.disconnect)])
    expect(told(await hears(message(Type.disconnect)))).toEqual([`state ${State.off}`])
    expect(await bench.device.pass(100_000)).toEqual([])
    expect(bench.device.sent(await bench.device.do('connect'))).toEqual([connect(0)])
  })

  it('carries the longest message that an MTU of 252 has, in one block', async () => {
    const wide = buildDriver('HW_MTU=252')
    try {
      started(wide.path)
      await bench.device.do('new dev 0', 'topic 1 id 7', 'connect')
      await hears(CONNACK)
      for (const byte of ['x', '\0']) {
        const payload = byte.repeat(245)
        const lines = await bench.device.do(pub(1, payload, 0))
        expect(bench.device.sent(lines)).toEqual([publish(Flag.predefined, 7, 0, payload)])
        expect(told(await hears(publish(Flag.predefined, 7, 0, payload)))).toHaveLength(1)
      }
      // 254 bytes without a zero are a full block: some encoders end it with an empty one
      const full = publish(Flag.predefined | Flag.qos1, 0x0707, 0x0101, 'x'.repeat(245))
      const bytes = frame(full)
      expect([bytes.length, bytes[1]]).toEqual([257, 0xff])
      const ended = Buffer.concat([bytes.subarray(0, -1), Buffer.of(1, 0)])
      for (const each of [bytes, ended])
        expect(told(await bench.device.do(`in ${hex(each)}`))).toHaveLength(1)
    } finally {
      wide.remove()
    }
  })

  it('leaves a will where it is compiled in', async () => {
    const withWill = buildDriver('HW_WITH_WILL=1')
    try {
      started(withWill.path)
      expect(bench.device.sent(await bench.device.do('new dev 0', 'connect'))).toEqual([
        connect(Flag.clean | Flag.will),
      ])
      expect(bench.device.sent(await hears(message(Type.willTopicReq)))).toEqual([
        message(Type.willTopic, Flag.qos1 | Flag.retain, 'will/topic'),
      ])
      expect(bench.device.sent(await hears(message(Type.willMsgReq)))).toEqual([
        message(Type.willMsg, 'gone'),
      ])
      expect(told(await hears(CONNACK))).toEqual([`state ${State.connected}`])
    } finally {
      withWill.remove()
    }
  })

  it('speaks bare messages where a datagram is the frame', async () => {
    const bare = buildDriver('HW_BARE=1')
    try {
      started(bare.path, { isBare: true })
      const lines = await bench.device.do(
        'new dev 0',
        'topic 1 id 7',
        'connect',
        `in ${hex(CONNACK)}`,
        pub(1, 'x'),
      )
      expect(bench.device.sent(lines)).toEqual([
        connect(Flag.clean),
        publish(Flag.qos1 | Flag.predefined, 7, 1, 'x'),
      ])
      await bench.device.do('in 0216ff', 'in 02', 'in 0316')
      expect(await bench.device.read()).toMatchObject({ dropped: 3, isBusy: true })
      expect(told(await bench.device.do(`in ${hex(puback(7, 1))}`))).toEqual(['result 0 1 0'])
    } finally {
      bare.remove()
    }
  })
})
