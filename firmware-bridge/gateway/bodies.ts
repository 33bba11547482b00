/** What may stand between a device's bytes and the message's payload. Without one bodies are opaque: they go through unchanged. */

export type MappedBody =
  | {
      readonly kind: 'mapped'
      readonly payload: Uint8Array
      /** By the device's clock, which was set by the time service: Unix ms. null: it did not say. */
      readonly deviceTimeMs: number | null
      /** Another topic than the device named: the dead letters'. */
      readonly topic?: string
      /** Why it is there. */
      readonly fault?: string
    }
  /** Not what the configuration says that it is: the device is told. */
  | { readonly kind: 'refused'; readonly reason: string }

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
