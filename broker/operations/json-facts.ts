/** Small JSON documents in the fact store, one a name: where an upstream's last known position is kept. */
interface Facts {
  get(key: string): Promise<Buffer | undefined>
  put(key: string, value: Uint8Array): Promise<void>
}

export class JsonFacts<T> {
  readonly #facts: Facts
  readonly #prefix: string

  /** @param prefix of the keys; on disk: never change one that was released */
  constructor(facts: Facts, prefix: string) {
    this.#facts = facts
    this.#prefix = prefix
  }

  /** @returns null where there is none, or none that can be read. */
  async load(name: string): Promise<T | null> {
    const bytes = await this.#facts.get(this.#prefix + name)
    if (bytes === undefined) return null
    try {
      return JSON.parse(bytes.toString('utf8')) as T
    } catch {
      return null
    }
  }

  save(name: string, value: T): Promise<void> {
    return this.#facts.put(this.#prefix + name, Buffer.from(JSON.stringify(value)))
  }
}
