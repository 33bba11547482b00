/** How far a reader under read_committed could get in a topic, asked again and again at little cost. */
import { check, findLeaders } from '../../support/kafka/metadata.ts'
import { FieldWriter, WireConnection } from '../../support/kafka/wire.ts'

const LIST_OFFSETS = 2
const READ_COMMITTED = 1
const LATEST = -1n

export function stableEnds(bootstrap: string, topic: string): { sum(): Promise<number>; close(): void } {
  const connection = new WireConnection(bootstrap)
  let partitions: number[] | null = null
  return {
    async sum() {
      partitions ??= [...(await findLeaders(connection, topic)).keys()]
      const request = new FieldWriter().int32(-1).int8(READ_COMMITTED).int32(1).string(topic)
      request.int32(partitions.length)
      for (const partition of partitions) request.int32(partition).int64(LATEST)
      const answer = await connection.request(LIST_OFFSETS, 2, request.finish())
      answer.int32() // throttle time
      let sum = 0
      answer.array(() => {
        answer.string()
        answer.array(() => {
          check(`${topic}, partition ${answer.int32()}`, answer.int16())
          answer.int64() // timestamp
          sum += Number(answer.int64())
        })
      })
      return sum
    },
    close: () => connection.close(),
  }
}
