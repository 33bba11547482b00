/** What is killed when, drawn from the seed: at how many acknowledged messages of all devices, and for how long. */
import type { Random } from '../support/random.ts'

export type Victim = 'bridge' | 'broker' | 'bridge and broker' | 'device'

export interface Blow {
  /** Acknowledged messages of all devices before it. */
  readonly at: number
  readonly victim: Victim
  /** A device's index, where it is one. */
  readonly device: number
  /** Until it is started again. */
  readonly downMs: number
}

const DOWN_MS_MAX = 1500

/** @param kills of bridge or broker; devices are reset as often, besides */
export function planBlows(random: Random, messages: number, kills: number, devices: number): Blow[] {
  const blow = (victim: Victim): Blow => ({
    at: random.between(1, Math.max(1, messages - 1)),
    victim,
    device: random.between(0, devices - 1),
    downMs: random.between(0, DOWN_MS_MAX),
  })
  const blows: Blow[] = []
  for (let kill = 0; kill < kills; kill++) {
    const dice = random.next()
    blows.push(blow(dice < 0.45 ? 'bridge' : dice < 0.9 ? 'broker' : 'bridge and broker'), blow('device'))
  }
  return blows.toSorted((one, other) => one.at - other.at)
}
