import { describe, expect, it, vi } from 'vitest'
import { Load } from '../../../../broker/mqtt/sys/load.ts'
import { type SysStatus, SysTopics } from '../../../../broker/mqtt/sys/sys-topics.ts'

const STATUS: SysStatus = {
  version: '1.2.3',
  uptimeSeconds: 61.9,
  clientsConnected: 3,
  clientsTotal: 5,
  connects: 10,
  messagesReceived: 100,
  messagesSent: 200,
  publishReceived: 50,
  publishSent: 60,
  publishDropped: 1,
  bytesReceived: 1000,
  bytesSent: 2000,
  publishBytesReceived: 500,
  subscriptions: 7,
  retainedMessages: 8,
  storedMessages: 9,
  storedBytes: 90,
  heapBytes: 12_345,
}

function start(first: Partial<SysStatus> = {}) {
  const state = { status: { ...STATUS, ...first }, now: 0 }
  let told: Record<string, string> = {}
  const sys = new SysTopics({
    read: () => state.status,
    publish: (topic, payload) => {
      told[topic.replace('$SYS/broker/', '')] = payload.toString()
    },
    now: () => state.now,
  })
  const publish = (seconds: number, change: Partial<SysStatus> = {}) => {
    Object.assign(state.status, change)
    state.now += seconds * 1000
    told = {}
    sys.publish()
    return told
  }
  return { sys, publish, told: () => told }
}

describe('a load', () => {
  it('comes to what is counted a minute, the faster the shorter its time', () => {
    const load = new Load(1000)
    let total = 1000
    let averages: readonly number[] = []
    const next = () => {
      total += 100
      averages = [...load.next(total, 10)]
    }
    for (let i = 0; i < 6; i++) next()
    expect(averages[0]).toBeCloseTo(600 * (1 - Math.exp(-1)), 6)
    expect(averages[1]).toBeCloseTo(600 * (1 - Math.exp(-1 / 5)), 6)
    expect(averages[2]).toBeCloseTo(600 * (1 - Math.exp(-1 / 15)), 6)
    for (let i = 0; i < 1000; i++) next()
    for (const average of averages) expect(average).toBeCloseTo(600, 1)
  })

  it('is not asked for twice at one time', () => {
    const load = new Load(0)
    expect(load.next(100, 0).every(Number.isFinite)).toBe(true)
    expect(load.next(100, 10)[0]).toBeGreaterThan(0)
  })
})

describe('$SYS topics', () => {
  it("are mosquitto's, with what the status says", () => {
    expect(start().publish(10)).toMatchObject({
      version: '1.2.3',
      uptime: '61 seconds',
      'clients/connected': '3',
      'clients/total': '5',
      'clients/disconnected': '2',
      'clients/maximum': '3',
      'messages/received': '100',
      'messages/sent': '200',
      'publish/messages/received': '50',
      'publish/messages/sent': '60',
      'publish/messages/dropped': '1',
      'bytes/received': '1000',
      'bytes/sent': '2000',
      'subscriptions/count': '7',
      'retained messages/count': '8',
      'store/messages/count': '9',
      'store/messages/bytes': '90',
      'load/messages/received/1min': '0.00',
    })
  })

  it('are published only where they have changed', () => {
    const { publish } = start()
    publish(10)
    expect(publish(10)).toEqual({})
    expect(publish(10, { clientsConnected: 1, uptimeSeconds: 81 })).toEqual({
      uptime: '81 seconds',
      'clients/connected': '1',
      'clients/active': '1',
      'clients/disconnected': '4',
      'clients/inactive': '4',
    })
    expect(Object.keys(publish(10, { publishReceived: 110 })).sort()).toEqual([
      'load/publish/received/15min',
      'load/publish/received/1min',
      'load/publish/received/5min',
      'publish/messages/received',
    ])
  })

  it('come at their interval, at once when it is set, and never with 0', () => {
    vi.useFakeTimers()
    try {
      const { sys, told } = start()
      sys.every(0)
      vi.advanceTimersByTime(100_000)
      expect(told()).toEqual({})
      sys.every(10)
      expect(told()).toMatchObject({ 'clients/connected': '3' })
      const publish = vi.spyOn(sys, 'publish')
      vi.advanceTimersByTime(30_000)
      expect(publish).toHaveBeenCalledTimes(3)
      sys.every(0)
      vi.advanceTimersByTime(30_000)
      expect(publish).toHaveBeenCalledTimes(3)
    } finally {
      vi.useRealTimers()
    }
  })
})
