/** A sensor of the demo. */
export interface Sensor {
  readonly topic: string
  /**
   * Called when its time has come.
   * @param now ms since 1970
   */
  tick(now: number): Tick
}

export interface Tick {
  /** null: nothing to tell this time, as a door that did not move. */
  readonly payload: object | null
  /** ms until the next call */
  readonly afterMs: number
}

export function round(value: number, digits: number): number {
  const scale = 10 ** digits
  return Math.round(value * scale) / scale
}
