/** The attackers, a process of their own: their load is not that of the honest clients. Each attack is drawn from the seed and its own number. */
import { seededRandom } from '../../support/random.ts'
import { attacksOf, nextAttack } from './attacks.ts'
import { Arena, type Field } from './field.ts'

/** Attacks under way at one time. */
const AT_ONCE = 12
/** Told apart from the seed's own neighbours: attack 1 of seed 1 is not attack 0 of seed 2. */
const SEED_STEP = 1_000_003

export interface AttackJob {
  readonly port: number
  readonly webSocketPort: number
  readonly tlsPort: number
  readonly seed: number
  /** Only attacks whose name contains this. */
  readonly only?: string
}

/** How many there were of each. */
export type AttackCounts = Record<string, number>

let isOver = false

process.on('message', (message: AttackJob | 'stop') => {
  if (message === 'stop') isOver = true
  else void attack(message)
})
process.on('disconnect', () => process.exit())

async function attack({ port, webSocketPort, tlsPort, seed, only }: AttackJob): Promise<void> {
  const field: Field = { port, webSocketPort, tlsPort, isOver: () => isOver }
  const attacks = attacksOf(only)
  const counts: AttackCounts = {}
  let next = 0
  const attacker = async () => {
    while (!isOver) {
      const random = seededRandom((seed * SEED_STEP + next++) >>> 0)
      const one = nextAttack(attacks, random)
      const arena = new Arena(field, random)
      await one.run(random, arena)
      arena.close()
      counts[one.name] = (counts[one.name] ?? 0) + 1
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, attacker))
  process.send?.(counts)
}
