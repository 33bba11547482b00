/** Whether producers may append to a chain, and who waits until they may. */

export class Admission {
  #isHeld = false
  #isLate = false
  readonly #bytesMax: number
  readonly #bytes: () => number
  #waiting: (() => void)[] = []

  /**
   * @param bytesMax bytes appended and not yet durable at which producers are asked to wait
   * @param bytes those that there are
   */
  constructor(bytesMax: number, bytes: () => number) {
    this.#bytesMax = bytesMax
    this.#bytes = bytes
  }

  /** Producers are to wait for `drained`. */
  get isFull(): boolean {
    return this.#isHeld || this.#isLate || this.#bytes() >= this.#bytesMax
  }

  /** The disk is full: nothing new is to be appended. */
  get isHeld(): boolean {
    return this.#isHeld
  }

  /** It grows faster than it is tidied: what is new waits, for a fraction of a second. */
  get isLate(): boolean {
    return this.#isLate
  }

  /** The disk is full, or has room again. What is in the open commit is still committed. */
  hold(isHeld: boolean): void {
    this.#isHeld = isHeld
    this.letIn()
  }

  /** Tidying has fallen behind, or has caught up. */
  delay(isLate: boolean): void {
    this.#isLate = isLate
    this.letIn()
  }

  /** Resolves once it is not full, or after a failure: what is appended then is refused with the reason. */
  drained(): Promise<void> {
    if (!this.isFull) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  /** To be called when there may be room. */
  letIn(): void {
    if (!this.isFull) this.letAllIn()
  }

  letAllIn(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}
