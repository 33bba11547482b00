/**
 * An end that may come while something is waited for. `Promise.race` with a promise that stays open keeps what every other side of it
 * came to for as long as that stays open: a reader that runs for days would keep all that it has read.
 */
export class Ending {
  #isOver = false
  #tell: () => void = () => {}

  end(): void {
    this.#isOver = true
    this.#tell()
  }

  /** One wait at a time. @returns null where the end came first */
  within<T>(work: Promise<T>): Promise<T | null> {
    return new Promise((resolve, reject) => {
      this.#tell = () => resolve(null)
      if (this.#isOver) resolve(null)
      work.then(resolve, reject)
    })
  }
}
