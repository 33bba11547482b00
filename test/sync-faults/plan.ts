/** What happens to a link, its edge or its cluster in a cycle, drawn from the seed. */
import type { Random } from '../support/random.ts'

export type Fault =
  | { readonly kind: 'cut'; readonly how: 'reset' | 'fin' }
  /** At a byte of a request or of an answer: any step of a round. */
  | { readonly kind: 'reset after'; readonly direction: 'up' | 'down'; readonly bytes: number }
  | { readonly kind: 'down' | 'stall'; readonly ms: number }
  | { readonly kind: 'delay'; readonly latencyMs: number; readonly ms: number }
  | { readonly kind: 'narrow'; readonly bytesPerSecond: number; readonly ms: number }
  | { readonly kind: 'flip' }
  | { readonly kind: 'kill edge' | 'kill cluster' }

export interface CyclePlan {
  /** Messages that are published at once, again and again until the faults are over. */
  readonly burst: number
  /** Before the first fault. */
  readonly waitMs: number
  readonly faults: readonly Fault[]
}

/** How often each is drawn, of a hundred. */
const WEIGHTS: readonly (readonly [Fault['kind'], number])[] = [
  ['reset after', 34],
  ['cut', 16],
  ['stall', 10],
  ['down', 10],
  ['delay', 8],
  ['narrow', 6],
  ['flip', 6],
  ['kill edge', 8],
  ['kill cluster', 2],
]
const FAULTS_MAX = 3

export function planCycle(random: Random): CyclePlan {
  const faults = [drawFault(random)]
  while (faults.length < FAULTS_MAX && random.next() < 0.4) faults.push(drawFault(random))
  return { burst: random.between(1, 25), waitMs: random.between(0, 150), faults }
}

function drawFault(random: Random): Fault {
  let left = random.between(0, 99)
  for (const [kind, weight] of WEIGHTS) {
    if (left < weight) return faultOf(kind, random)
    left -= weight
  }
  throw new Error('the weights make a hundred')
}

function faultOf(kind: Fault['kind'], random: Random): Fault {
  const ms = random.between(50, 800)
  switch (kind) {
    case 'cut':
      return { kind, how: random.next() < 0.5 ? 'reset' : 'fin' }
    case 'reset after': {
      const direction = random.next() < 0.5 ? 'up' : 'down'
      // answers are small; a round goes up in a few requests
      return { kind, direction, bytes: random.between(1, direction === 'up' ? 30_000 : 1500) }
    }
    case 'down':
    case 'stall':
      // now and then longer than the cluster waits for a transaction
      return { kind, ms: random.next() < 0.15 ? ms + 2500 : ms }
    case 'delay':
      return { kind, ms, latencyMs: random.between(2, 150) }
    case 'narrow':
      return { kind, ms, bytesPerSecond: random.between(8_000, 200_000) }
    case 'flip':
    case 'kill edge':
    case 'kill cluster':
      return { kind }
  }
}

export function faultName(fault: Fault): string {
  switch (fault.kind) {
    case 'cut':
      return fault.how === 'fin' ? 'close' : 'reset'
    case 'reset after':
      return `reset ${fault.direction} after ${fault.bytes} B`
    default:
      return fault.kind
  }
}
