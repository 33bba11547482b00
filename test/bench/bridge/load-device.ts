/** What the load of many devices is made of: one that publishes with QoS 1 and counts what is acknowledged. */
import { clientIdOf, topicOf } from '../ingest/manner.ts'
import { PublishRing } from '../ingest/packets.ts'
import { Publisher, type Tally } from '../ingest/publisher.ts'

export interface LoadDevice {
  readonly inFlight: number
  onFailure: (error: Error) => void
  publish(): void
  close(): Promise<void>
}

/** Messages that one MQTT client can have in flight. */
const RING = 128

/** The same device as a client of the broker's own: MQTT, without a bridge. */
export async function mqttDevice(
  port: number,
  index: number,
  payloadBytes: number,
  tally: Tally,
): Promise<LoadDevice> {
  const options = { topic: topicOf(index), payloadBytes, entry: { qos0: 0, qos1: 1 } } as const
  const ring = new PublishRing({ ...options, manner: 'plain', count: RING, row: index })
  const publisher = await Publisher.connect(port, 'plain', clientIdOf(index), ring, tally)
  return {
    get inFlight() {
      return publisher.inFlight
    },
    set onFailure(tell: (error: Error) => void) {
      publisher.onFailure = tell
    },
    publish() {
      if (!publisher.hasRoom) throw new Error('the broker left a whole ring of messages without an answer')
      publisher.queue(performance.now())
      publisher.flush()
    },
    close: () => publisher.close(),
  }
}
