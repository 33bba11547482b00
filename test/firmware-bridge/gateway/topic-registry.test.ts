import { describe, expect, it } from 'vitest'
import { TopicRegistry } from '../../../firmware-bridge/gateway/topic-registry.ts'

describe('topic ids', () => {
  it('are each one name’s, and neither 0x0000 nor 0xFFFF', () => {
    const registry = new TopicRegistry(10_000)
    const ids = new Set<number>()
    // As many that hashes of 16 bits meet.
    for (let at = 0; at < 2_000; at++) {
      const { topicId } = registry.own(`plant/${at}`)!
      expect(registry.name(topicId)).toBe(`plant/${at}`)
      ids.add(topicId)
    }
    expect(ids.size).toBe(2_000)
    expect(ids.has(0) || ids.has(0xffff)).toBe(false)
  })

  it('that the device asked for stay while those of deliveries make room, the longest unused first', () => {
    const registry = new TopicRegistry(2)
    const own = registry.own('own')!
    const first = registry.forDelivery('first')
    registry.forDelivery('second')
    registry.forDelivery('first')
    registry.forDelivery('third')
    expect(registry.get('second')).toBeUndefined()
    expect(registry.name(first.topicId)).toBe('first')
    expect(registry.name(own.topicId)).toBe('own')
    expect(registry.size).toBe(3)
  })

  it('of a delivery become the device’s own when it registers them, and are counted so', () => {
    const registry = new TopicRegistry(1)
    const { topicId } = registry.forDelivery('a')
    expect(registry.own('a')!.topicId).toBe(topicId)
    expect(registry.own('a')!.topicId).toBe(topicId)
    expect(registry.own('b')).toBeNull()
    registry.forDelivery('c')
    expect(registry.get('a')).toBeDefined()
  })

  it('are not known after a new connection, and none after a clean one', () => {
    const registry = new TopicRegistry(2)
    const topic = registry.own('a')!
    topic.isKnown = true
    registry.usePredefined(5, 'b')
    registry.forgetKnown()
    expect(topic.isKnown).toBe(false)
    registry.clear()
    expect([registry.size, registry.predefined('b')]).toEqual([0, undefined])
    expect(registry.own('x')).not.toBeNull()
    expect(registry.own('y')).not.toBeNull()
  })
})
