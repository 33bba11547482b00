/** What becomes of a device's bytes. */
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
