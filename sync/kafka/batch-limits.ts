/** How large a batch each topic takes: what is configured, or less where the topic has refused one. */
export class BatchLimits {
  readonly #bytesMax: number
  readonly #byTopic = new Map<string, number>()

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  readonly of = (topic: string): number => this.#byTopic.get(topic) ?? this.#bytesMax

  /** The topic refused twice as much. */
  lower(topic: string, bytesMax: number): void {
    this.#byTopic.set(topic, Math.max(1, Math.min(this.of(topic), bytesMax)))
  }

  /** It does not take a single record: whether it takes more once that has changed is to be found out again. */
  forget(topic: string): void {
    this.#byTopic.delete(topic)
  }
}
