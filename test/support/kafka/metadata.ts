import { FieldWriter, type WireConnection } from './wire.ts'

const METADATA = 3

export const UNKNOWN_TOPIC = 3
const LEADER_NOT_AVAILABLE = 5

/** Kafka answered, and the answer is no. */
export class ProtocolError extends Error {
  readonly code: number

  constructor(what: string, code: number, message = '') {
    super(`${what}: Kafka answered with error code ${code}${message && `, ${message}`}`)
    this.code = code
  }
}

/** Throws a ProtocolError about `what` unless `code` says that it went well. */
export function check(what: string, code: number, message?: string | null): void {
  if (code !== 0) throw new ProtocolError(what, code, message ?? '')
}

/** The leaders' addresses by partition. Throws a ProtocolError when the topic or one of its leaders is missing. */
export async function findLeaders(connection: WireConnection, topic: string): Promise<Map<number, string>> {
  const request = new FieldWriter().int32(1).string(topic).int8(0) // do not create it
  const answer = await connection.request(METADATA, 4, request.finish())
  answer.int32() // throttle time
  const addresses = new Map<number, string>()
  answer.array(() => {
    addresses.set(answer.int32(), `${answer.string()}:${answer.int32()}`)
    answer.string() // rack
  })
  answer.string() // cluster id
  answer.int32() // controller
  const leaders = new Map<number, string>()
  answer.array(() => {
    check(topic, answer.int16())
    answer.string()
    answer.int8() // internal
    answer.array(() => {
      const code = answer.int16()
      const partition = answer.int32()
      const leader = addresses.get(answer.int32())
      check(`${topic}, partition ${partition}`, leader === undefined ? LEADER_NOT_AVAILABLE : code)
      leaders.set(partition, leader!)
      answer.array(() => answer.int32()) // replicas
      answer.array(() => answer.int32()) // in sync
    })
  })
  return leaders
}
