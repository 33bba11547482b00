/** What one writer sent and what was acknowledged to it: the side of the books that no power cut touches. */

export class Ledger {
  readonly writer: string
  readonly qos: 1 | 2
  readonly topics: readonly string[]
  /** By sequence number: how often its PUBLISH was handed to a socket. */
  readonly sends: number[] = []
  /** By sequence number: PUBACK (QoS 1) or PUBREC (QoS 2) came. */
  readonly isAcknowledged: boolean[] = []
  acknowledged = 0

  constructor(writer: string, qos: 1 | 2, topics: readonly string[]) {
    this.writer = writer
    this.qos = qos
    this.topics = topics
  }

  topicOf(sequence: number): string {
    return this.topics[sequence % this.topics.length]!
  }

  sent(sequence: number): void {
    this.sends[sequence] = (this.sends[sequence] ?? 0) + 1
  }

  acknowledge(sequence: number): void {
    if (this.isAcknowledged[sequence] === true) return
    this.isAcknowledged[sequence] = true
    this.acknowledged++
  }
}
