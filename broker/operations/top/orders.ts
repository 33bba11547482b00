/** By what `headwater top` sorts streams and clients; `s` goes to the next one. */
export const TOP_ORDERS = ['rate', 'bytes', 'waiting', 'name'] as const
export type TopOrder = (typeof TOP_ORDERS)[number]

export function nextOrder(order: TopOrder): TopOrder {
  return TOP_ORDERS[(TOP_ORDERS.indexOf(order) + 1) % TOP_ORDERS.length]!
}
