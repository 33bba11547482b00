/** What may stand between a device's bytes and the message's payload. Without one bodies are opaque: they go through unchanged. */
import type { MappedBody } from '../bodies/mapped-body.ts'

export interface BodyMapper {
  /**
   * Of a device's PUBLISH.
   * @param clientId null: of one that never connects
   * @param body valid during the call only
   * @returns null: opaque
   */
  fromDevice(clientId: string | null, topic: string, body: Uint8Array): MappedBody | null
}

export const opaqueBodies: BodyMapper = { fromDevice: () => null }
