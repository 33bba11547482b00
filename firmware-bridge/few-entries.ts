/**
 * A map of the few things that one device has under way, which come and go with every message. V8's own Map takes a new table whenever its last
 * entry goes; the one before has been promoted by then, and keeps from being collected what it once held, until the next full collection. That
 * was most of what a message left in the old generation. Here entries come and go in place; when there are many, a Map has them until
 * the last one has gone.
 */

/** Looked through one by one; more is a Map. */
export const FEW_MAX = 8

export class FewEntries<K, V> {
  /** In the order in which they came. */
  readonly #keys = new Array<K | undefined>(FEW_MAX)
  readonly #values = new Array<V | undefined>(FEW_MAX)
  #count = 0
  #many: Map<K, V> | null = null

  get size(): number {
    return this.#many?.size ?? this.#count
  }

  has(key: K): boolean {
    return this.#many === null ? this.#placeOf(key) >= 0 : this.#many.has(key)
  }

  get(key: K): V | undefined {
    if (this.#many !== null) return this.#many.get(key)
    const place = this.#placeOf(key)
    return place < 0 ? undefined : this.#values[place]
  }

  /** One that is there keeps its place. */
  set(key: K, value: V): void {
    if (this.#many !== null) {
      this.#many.set(key, value)
      return
    }
    const known = this.#placeOf(key)
    if (known < 0 && this.#count === FEW_MAX) {
      this.#toMany().set(key, value)
      return
    }
    const place = known < 0 ? this.#count++ : known
    this.#keys[place] = key
    this.#values[place] = value
  }

  /** @returns whether it was there */
  delete(key: K): boolean {
    if (this.#many !== null) {
      const wasThere = this.#many.delete(key)
      if (this.#many.size === 0) this.#many = null
      return wasThere
    }
    const place = this.#placeOf(key)
    if (place < 0) return false
    const last = --this.#count
    for (let at = place; at < last; at++) {
      this.#keys[at] = this.#keys[at + 1]
      this.#values[at] = this.#values[at + 1]
    }
    this.#keys[last] = undefined
    this.#values[last] = undefined
    return true
  }

  clear(): void {
    this.#many = null
    this.#count = 0
    this.#keys.fill(undefined)
    this.#values.fill(undefined)
  }

  /** As they are now, the one that came first at the head. */
  keys(): K[] {
    return this.#many === null ? (this.#keys.slice(0, this.#count) as K[]) : [...this.#many.keys()]
  }

  values(): V[] {
    return this.#many === null ? (this.#values.slice(0, this.#count) as V[]) : [...this.#many.values()]
  }

  /** The value that came first. */
  first(): V | undefined {
    return this.#many === null ? this.#values[0] : this.#many.values().next().value
  }

  #placeOf(key: K): number {
    for (let place = 0; place < this.#count; place++) if (this.#keys[place] === key) return place
    return -1
  }

  #toMany(): Map<K, V> {
    const values = this.values()
    const many = new Map(this.keys().map((key, place) => [key, values[place]!]))
    this.clear()
    this.#many = many
    return many
  }
}
