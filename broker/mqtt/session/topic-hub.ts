/** The hub, as sessions use it. */
import type { Message, Subscriber } from '../hub/message.ts'
import type { Subscription } from '../hub/subscription.ts'

/** Who knows which session takes which topic: the hub, as sessions use it. */
export interface TopicHub {
  subscribe(subscriber: Subscriber, subscription: Subscription): void
  unsubscribe(subscriber: Subscriber, filterText: string): boolean
  removeAll(subscriber: Subscriber): void
  /** Calls `deliver` of each that takes it, once; No Local is the hub's affair. */
  publish(message: Message): number
}
