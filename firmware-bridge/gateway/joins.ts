/**
 * Sessions that the broker is being asked for, of all devices, also of those that are gone meanwhile: each is a connection to be made. A peer
 * that comes with ever new client ids makes no more of them wait than there can be devices.
 */
export class TooManyJoinsError extends Error {
  constructor() {
    super('sessions are being made for as many devices as there may be')
  }
}

export class Joins {
  readonly #max: number
  #underWay = 0

  constructor(max: number) {
    this.#max = max
  }

  /** @throws TooManyJoinsError, or what `ask` throws */
  async run(ask: () => Promise<void>): Promise<void> {
    if (this.#underWay >= this.#max) throw new TooManyJoinsError()
    this.#underWay++
    try {
      await ask()
    } finally {
      this.#underWay--
    }
  }
}
