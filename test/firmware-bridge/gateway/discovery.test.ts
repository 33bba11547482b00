/** MQTT-SN 1.2, section 6.1: how devices find the gateway. */
import { expect, it } from 'vitest'
import { type Packet, Type } from '../../../firmware-bridge/packets/packet.ts'
import { MemoryLink } from './fakes.ts'
import { Bench, told } from './support.ts'

const search = (radius: number): Packet => ({ type: Type.searchGateway, radius })
const broadcasts = (bench: Bench) =>
  bench.link.broadcasts.map(({ bytes, radius }) => `${bytes.toString('hex')} ${radius}`)

it('ADVERTISE goes out at the start and every advertiseSeconds, with its id', async () => {
  const bench = await Bench.with({ config: { advertiseSeconds: 900, id: 7 } })
  await bench.advance(0)
  expect(broadcasts(bench)).toEqual(['0500070384 0'])
  await bench.advance(1_800_000)
  expect(broadcasts(bench)).toHaveLength(3)
  await bench.gateway.stop()
  await bench.advance(1_800_000)
  expect(broadcasts(bench)).toHaveLength(3)
})

it('GWINFO answers SEARCHGW after a while at random: one for all that asked, as far as the furthest', async () => {
  const bench = await Bench.with({ config: { id: 7, gatewayInfoMs: 500 }, random: () => 0.5 })
  await bench.send(search(3))
  await bench.advance(100)
  await bench.send(search(1), 'p2')
  expect(broadcasts(bench)).toEqual([])
  await bench.advance(150)
  expect(broadcasts(bench)).toEqual(['030207 3'])
  await bench.send(search(0), 'p2')
  await bench.send(search(2), 'p1')
  await bench.advance(250)
  expect(broadcasts(bench)).toEqual(['030207 3', '030207 0'])
  expect(bench.heard('p2')).toEqual([])
})

it('GWINFO goes to those that asked where the link has no broadcast', async () => {
  const bench = await Bench.with({ config: { gatewayInfoMs: 500 } })
  bench.link.canBroadcast = false
  await bench.send(search(1))
  await bench.send(search(1), 'p2')
  expect(told(await bench.advance(250))).toEqual(['gatewayInfo'])
  expect(told(bench.heard('p2'))).toEqual(['gatewayInfo'])
  expect(bench.heard('p3')).toEqual([])
})

it('GWINFO does not wait on a serial port', async () => {
  const bench = await Bench.with({ link: new MemoryLink('serial') })
  await bench.send(search(1))
  expect(broadcasts(bench)).toEqual(['030201 1'])
})
