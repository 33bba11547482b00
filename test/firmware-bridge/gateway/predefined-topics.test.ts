import { expect, it } from 'vitest'
import { PredefinedTopics } from '../../../firmware-bridge/gateway/predefined-topics.ts'

it('%c is the client id as it is, whatever letters are in it', () => {
  const topics = new PredefinedTopics({ 1: 'plant/%c/temperature' })
  for (const clientId of ['pump-1', 'pump-$$1', 'pump-$`', "pump-$'", 'pump-$&', '%c']) {
    expect(topics.topic(1, clientId)).toBe(`plant/${clientId}/temperature`)
  }
})
