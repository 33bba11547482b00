/** headwater.h, message by message: keep alive, and sleep. */
import { describe, expect, it } from 'vitest'
import { Problem, State, told } from './device.ts'
import { CONNACK, connect, describeDevice, pub, puback, publish, RETRY_MS } from './device-bench.ts'
import { Flag, message, Type, u16 } from './frames.ts'

describeDevice('the device library', (bench) => {
  const { connected, hears } = bench

  describe('keep alive', () => {
    it('is a PINGREQ where nothing was sent, or nothing was heard, for so long', async () => {
      await connected({ keepAlive: 10 })
      expect(await bench.device.pass(9999)).toEqual([])
      expect(bench.device.sent(await bench.device.pass(1))).toEqual([message(Type.pingreq)])
      await hears(message(Type.pingresp))
      for (let ms = 0; ms < 9000; ms += 3000) {
        await bench.device.pass(3000)
        await bench.device.do(pub(2, 'qos 0', 0))
      }
      expect(bench.device.sent(await bench.device.pass(1000))).toEqual([message(Type.pingreq)])
    })

    it('finds that the gateway is lost, and gives way to a message', async () => {
      await connected({ keepAlive: 10 })
      await bench.device.pass(10_000)
      expect(bench.device.sent(await bench.device.do(pub(1, 'x')))).toEqual([
        publish(Flag.qos1 | Flag.predefined, 7, 1, 'x'),
      ])
      await hears(puback(7, 1))
      const lines: string[] = []
      for (let ms = 0; ms < 60_000; ms += 100) lines.push(...(await bench.device.pass(100)))
      expect(told(lines)).toEqual([`state ${State.connecting}`])
    })

    it('answers the gateway’s own PINGREQ', async () => {
      await connected()
      expect(bench.device.sent(await hears(message(Type.pingreq)))).toEqual([message(Type.pingresp)])
    })

    it('tells how long the device may halt', async () => {
      await connected({ keepAlive: 10 })
      await bench.device.pass(4000)
      expect((await bench.device.read()).dueMs).toBe(6000)
      await bench.device.do(pub(1, 'x'))
      await bench.device.pass(100)
      expect((await bench.device.read()).dueMs).toBe(RETRY_MS - 100)
    })
  })

  describe('sleep', () => {
    it('is agreed with the gateway; waking asks for what it kept', async () => {
      await connected()
      expect(bench.device.sent(await bench.device.do('sleep 60'))).toEqual([
        message(Type.disconnect, u16(60)),
      ])
      expect(told(await hears(message(Type.disconnect)))).toEqual([`state ${State.asleep}`])
      // the answer came twice
      expect(told(await hears(message(Type.disconnect)))).toEqual([])
      expect(await bench.device.pass(59_000)).toEqual([])
      let lines = await bench.device.do('wake')
      expect(told(lines)).toEqual([`state ${State.awake}`, `error ${Problem.none}`])
      expect(bench.device.sent(lines)).toEqual([message(Type.pingreq, 'dev')])
      lines = await hears(publish(Flag.qos1 | Flag.predefined, 7, 900, 'kept'))
      expect(bench.device.sent(lines)).toEqual([puback(7, 900)])
      expect(told(await hears(message(Type.pingresp)))).toEqual([`state ${State.asleep}`])
      expect(told(await bench.device.do('connect'))).toEqual([`state ${State.connecting}`])
      expect(told(await hears(CONNACK))).toEqual([`state ${State.connected}`])
    })

    it('goes on to be lost where the gateway does not know it any more', async () => {
      await connected()
      await bench.device.do('sleep 60')
      await hears(message(Type.disconnect))
      await bench.device.do('wake')
      expect(told(await hears(message(Type.disconnect)))).toEqual([`state ${State.connecting}`])
      expect(bench.device.sent(await bench.device.pass(RETRY_MS))).toEqual([connect(0)])
    })

    it('comes also without an answer; not while a message is in flight, and not unconnected', async () => {
      await connected()
      await bench.device.do('sleep 60')
      const lines: string[] = []
      for (let ms = 0; ms < 40_000; ms += 100) lines.push(...(await bench.device.pass(100)))
      expect(told(lines)).toEqual([`state ${State.asleep}`])
      expect(told(await bench.device.do('sleep 60'))).toEqual([`error ${Problem.notNow}`])
      await connected()
      expect(told(await bench.device.do(pub(1, 'x'), 'sleep 60'))).toEqual([
        `error ${Problem.none}`,
        `error ${Problem.busy}`,
      ])
      expect(told(await bench.device.do('wake'))).toEqual([`error ${Problem.notNow}`])
    })
  })
})
