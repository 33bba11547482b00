/** headwater.h, message by message: the time of the gateway. */
import { expect, it } from 'vitest'
import { describeDevice } from './device-bench.ts'
import { Flag, message, Type, u16 } from './frames.ts'

describeDevice('time in the device library', (bench) => {
  const { connected, hears } = bench

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
    await bench.device.pass(5000)
    expect((await bench.device.read()).unixMs).toBe(0)
    await bench.device.do('time')
    expect(bench.device.sent(await bench.device.pass(10))).toEqual([request(5010)])
    await bench.device.pass(40)
    await hears(answer(5010, UNIX, UNIX + 10, 1))
    expect(await bench.device.read()).toMatchObject({ unixMs: UNIX + 25, isTrusted: true })
    await bench.device.pass(1000)
    expect((await bench.device.read()).unixMs).toBe(UNIX + 1025)
  })

  it('is the gateway’s own where the way there and back is less than nothing, by a coarse clock', async () => {
    await connected()
    await bench.device.do('time')
    const [asked] = bench.device.sent(await bench.device.pass(0))
    await hears(answer(Number(asked!.readBigUInt64BE(7)), UNIX, UNIX + 3, 1))
    expect((await bench.device.read()).unixMs).toBe(UNIX + 3)
  })

  it('is asked for again without an answer, and each hour; over the wrap of the device’s clock', async () => {
    await connected()
    await bench.device.pass(2 ** 32 - 20_000)
    await bench.device.do('time')
    expect(bench.device.sent(await bench.device.pass(0))).toEqual([request(2 ** 32 - 20_000)])
    expect(bench.device.sent(await bench.device.pass(7999))).toEqual([])
    const [second] = bench.device.sent(await bench.device.pass(1))
    await hears(answer(2 ** 32 - 20_000, UNIX, UNIX))
    expect((await bench.device.read()).unixMs).toBe(0)
    expect(second).toEqual(request(2 ** 32 - 12_000))
    await hears(answer(2 ** 32 - 12_000, UNIX, UNIX, 0))
    expect(await bench.device.read()).toMatchObject({ unixMs: UNIX, isTrusted: false })
    bench.device.now -= 2 ** 32
    expect(bench.device.sent(await bench.device.pass(3_599_999))).toEqual([])
    expect(bench.device.sent(await bench.device.pass(1))).toHaveLength(1)
    expect((await bench.device.read()).unixMs).toBe(UNIX + 3_600_000)
  })
})
