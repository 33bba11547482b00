/** headwater.h, message by message: subscriptions, and what they bring. */
import { expect, it } from 'vitest'
import { Result, told } from './device.ts'
import { CONNACK, describeDevice, hex, puback, publish, RETRY_MS, regack, suback } from './device-bench.ts'
import { Flag, message, Type, u16 } from './frames.ts'

describeDevice('subscriptions of the device library', (bench) => {
  const { connected, hears, started } = bench

  it('are asked for one after the other, also before it is connected, and again in each connection', async () => {
    started()
    await bench.device.do(
      'new dev 0',
      'topic 0 name a/+',
      'topic 1 id 7',
      'topic 2 short ab',
      'sub 0 32',
      'sub 1 0',
    )
    await bench.device.do('sub 2 32', 'connect')
    const subscribe = (flags: number, id: number, topic: string | Buffer) =>
      message(Type.subscribe, flags, u16(id), topic)
    const all = async (id: number) => {
      expect(bench.device.sent(await hears(CONNACK))).toEqual([subscribe(Flag.qos1, id, 'a/+')])
      let lines = await hears(suback(0, id))
      expect(told(lines)).toEqual(['result 1 0 0'])
      expect(bench.device.sent(lines)).toEqual([subscribe(Flag.predefined, id + 1, u16(7))])
      lines = await hears(suback(7, id + 1))
      expect(bench.device.sent(lines)).toEqual([subscribe(Flag.qos1 | Flag.short, id + 2, 'ab')])
      expect(told(await hears(suback(0, id + 2, Result.notSupported)))).toEqual([
        `result 1 2 ${Result.notSupported}`,
      ])
      expect(bench.device.sent(await bench.device.pass(60_000))).toEqual([])
    }
    await all(1)
    await hears(message(Type.disconnect))
    await bench.device.pass(RETRY_MS)
    await all(4)
  })

  it('are repeated with DUP, and end with UNSUBSCRIBE', async () => {
    await connected()
    await bench.device.do('sub 0 32')
    expect(bench.device.sent(await bench.device.pass(RETRY_MS))).toEqual([
      message(Type.subscribe, Flag.qos1 | Flag.dup, u16(1), 't/one'),
    ])
    await hears(suback(3, 1))
    expect(bench.device.sent(await bench.device.do('unsub 0'))).toEqual([
      message(Type.unsubscribe, 0, u16(2), 't/one'),
    ])
    expect(told(await hears(message(Type.unsuback, u16(2))))).toEqual(['result 2 0 0'])
    await hears(message(Type.disconnect))
    await bench.device.pass(RETRY_MS)
    expect(bench.device.sent(await hears(CONNACK))).toEqual([])
  })

  it('stay where one is asked for again before its end was answered', async () => {
    await connected()
    await bench.device.do('sub 0 32')
    await hears(suback(3, 1))
    await bench.device.do('unsub 0', 'sub 0 0')
    expect(bench.device.sent(await hears(message(Type.unsuback, u16(2))))).toEqual([
      message(Type.subscribe, 0, u16(3), 't/one'),
    ])
  })

  it('bring messages, acknowledged with what the firmware makes of them', async () => {
    await connected()
    const come = publish(Flag.qos1 | Flag.predefined, 7, 900, 'hello')
    let lines = await hears(come)
    expect(told(lines)).toEqual([`message 1 7 ${Flag.qos1 | Flag.predefined} ${hex(Buffer.from('hello'))}`])
    expect(bench.device.sent(lines)).toEqual([puback(7, 900)])
    await bench.device.do(`answer ${Result.congested}`)
    expect(bench.device.sent(await hears(publish(Flag.qos1 | Flag.predefined, 7, 901, 'x')))).toEqual([
      puback(7, 901, Result.congested),
    ])
    await bench.device.do(`answer ${Result.acknowledged}`)
    lines = await hears(publish(Flag.qos1 | Flag.dup | Flag.predefined, 7, 901, 'x'))
    expect(told(lines)).toHaveLength(1)
    expect(bench.device.sent(lines)).toEqual([puback(7, 901)])
    expect(bench.device.sent(await hears(publish(Flag.predefined, 7, 0, 'qos 0')))).toEqual([])
  })

  it('bring a repeated message once', async () => {
    await connected()
    await hears(publish(Flag.qos1 | Flag.predefined, 7, 900, 'hello'))
    const lines = await hears(publish(Flag.qos1 | Flag.dup | Flag.predefined, 7, 900, 'hello'))
    expect(told(lines)).toEqual([])
    expect(bench.device.sent(lines)).toEqual([puback(7, 900)])
    // a gateway that began anew may have that id for another message
    await hears(message(Type.disconnect))
    await bench.device.pass(RETRY_MS)
    await hears(CONNACK)
    expect(told(await hears(publish(Flag.qos1 | Flag.dup | Flag.predefined, 7, 900, 'other')))).toHaveLength(
      1,
    )
  })

  it('with wildcards are told the names that the gateway gives ids', async () => {
    await connected()
    const name = (topic: number, id: number, text: string) =>
      message(Type.register, u16(topic), u16(id), text)
    let lines = await hears(name(21, 5, 'a/b'))
    expect(told(lines)).toEqual(['name 21 a/b'])
    expect(bench.device.sent(lines)).toEqual([regack(21, 5)])
    await bench.device.do(`accept ${Result.notSupported}`)
    expect(bench.device.sent(await hears(name(22, 6, 'a/c')))).toEqual([regack(22, 6, Result.notSupported)])
    // one of its own names it knows
    await bench.device.do('sub 0 32')
    lines = await hears(name(23, 7, 't/one'))
    expect(told(lines)).toEqual([])
    expect(bench.device.sent(lines)).toEqual([regack(23, 7)])
    await hears(publish(0, 23, 0, 'x'))
    expect(await bench.device.do('of 0', 'of 1')).toEqual(['value 1', 'value 0'])
  })

  it('bring nothing before the device is connected: its gateway is in another session', async () => {
    started()
    await bench.device.do('new dev 0', 'connect')
    const lines = await hears(publish(Flag.qos1 | Flag.predefined, 7, 900, 'hello'), puback(7, 1, 2))
    expect(lines).toEqual([])
  })
})
