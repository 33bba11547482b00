import { describe, expect, it } from 'vitest'
import { TIME_REQUEST_ID, TIME_RESPONSE_ID } from '../../../firmware-bridge/gateway/time-service.ts'
import { type Publish, Type } from '../../../firmware-bridge/packets/packet.ts'
import { Bench, publish, told } from './support.ts'

const DEVICE_MS = Buffer.from('00000000000003e8', 'hex').toString('latin1')

function request(fields: Parameters<typeof publish>[0] = {}) {
  const packet = publish({ topicIdType: 'predefined', topicId: TIME_REQUEST_ID, ...fields })
  return { ...packet, data: Buffer.from(fields.data ?? DEVICE_MS, 'latin1') }
}

describe('the time service', () => {
  it.each([true, false])(
    'answers with both times, and whether they are trusted: %s',
    async (isClockTrusted) => {
      const bench = await Bench.with({ isClockTrusted }, 'pump')
      bench.heard()
      const [answer] = (await bench.send(request({ qos: 0 }))) as Publish[]
      expect(answer).toMatchObject({
        type: Type.publish,
        qos: 0,
        topicIdType: 'predefined',
        topicId: TIME_RESPONSE_ID,
      })
      const data = Buffer.from(answer!.data)
      expect(data).toHaveLength(25)
      expect(data.readBigUInt64BE(0)).toBe(1_000n)
      expect(data.readBigUInt64BE(8)).toBe(BigInt(bench.clock.now()))
      expect(data.readBigUInt64BE(16)).toBe(BigInt(bench.clock.now()))
      expect(data[24]).toBe(isClockTrusted ? 1 : 0)
      expect(bench.status('pump').clockOffsetMs).toBe(bench.clock.now() - 1_000)
      expect(bench.uplink.published).toEqual([])
    },
  )

  it('acknowledges QoS 1', async () => {
    const bench = await Bench.with({}, 'pump')
    bench.heard()
    const answers = await bench.send(request({ qos: 1, messageId: 4 }))
    expect(answers.map(({ type }) => type)).toEqual([Type.publish, Type.puback])
    expect(told(answers.slice(1))).toEqual(['puback #4 accepted'])
  })

  it('serves devices that never connect', async () => {
    const bench = await Bench.with()
    const answers = await bench.send(request({ qos: -1 }))
    expect(answers.map(({ type }) => type)).toEqual([Type.publish])
  })

  it('does not take what is no request', async () => {
    const bench = await Bench.with({}, 'pump')
    bench.heard()
    expect(told(await bench.send(request({ data: 'short' })))).toEqual(['puback #1 unsupported'])
    expect(told(await bench.send(request({ qos: 2 })))).toEqual(['puback #1 unsupported'])
    expect(bench.status('pump').dropped).toEqual({ time: 2 })
  })
})
