/** headwater.h: what comes in pieces, or damaged. */
import { expect, it } from 'vitest'
import { told } from './device.ts'
import { describeDevice, hex, publish } from './device-bench.ts'
import { Flag, frame, message, Type, u16 } from './frames.ts'

describeDevice('the receiver of the device library', (bench) => {
  const { connected } = bench

  const ping = hex(frame(message(Type.pingreq)))

  it('takes a stream in pieces, split at every point, and frames that share delimiters', async () => {
    await connected()
    const stream = `${ping}${ping}`
    for (let at = 0; at <= stream.length; at += 2) {
      const lines = await bench.device.do(`in ${stream.slice(0, at)}`, `in ${stream.slice(at)}`)
      expect(bench.device.sent(lines)).toHaveLength(2)
    }
    expect(bench.device.sent(await bench.device.do('in 00050216099a00050216099a00'))).toHaveLength(2)
    expect((await bench.device.read()).dropped).toBe(0)
  })

  it('drops and counts every frame with one bit turned over', async () => {
    await connected()
    const bytes = frame(publish(Flag.predefined, 7, 0, 'hello'))
    let bits = 0
    for (let bit = 8; bit < (bytes.length - 1) * 8; bit++, bits++) {
      const damaged = Buffer.from(bytes)
      damaged[bit >> 3]! ^= 1 << (bit & 7)
      expect(await bench.device.do(`in ${hex(damaged)}`)).toEqual([])
    }
    expect((await bench.device.read()).dropped).toBeGreaterThanOrEqual(bits)
    expect(told(await bench.device.do(`in ${hex(bytes)}`))).toHaveLength(1)
  })

  it('drops what is too long, too short, or not as long as it says', async () => {
    await connected()
    const raw = (bytes: Buffer) => bench.device.do(`in ${hex(frame(bytes))}`)
    expect(await raw(Buffer.concat([Buffer.from([3]), message(Type.pingreq).subarray(1)]))).toEqual([])
    expect(await raw(Buffer.from([1]))).toEqual([])
    expect(await raw(message(Type.publish, Flag.predefined, u16(7), u16(0), 'x'.repeat(122)))).toEqual([])
    expect((await bench.device.read()).dropped).toBe(3)
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
