/** All attacks, and which one comes next. */
import type { Random } from '../../support/random.ts'
import type { Attack } from './field.ts'
import { aliasFlood, propertyFlood, retainedFlood, sessionFlood, subscriptionFlood } from './floods.ts'
import { handshakes } from './handshakes.ts'
import { churn, everyState } from './sessions.ts'
import { hugeLengths, noise, silence, slowLoris, stalledReaders } from './slow.ts'
import { replays, sharedMembers, takeovers, wills } from './storms.ts'
import { tlsHandshakes } from './tls.ts'

export const ATTACKS: readonly Attack[] = [
  everyState,
  churn,
  slowLoris,
  silence,
  hugeLengths,
  stalledReaders,
  noise,
  sessionFlood,
  subscriptionFlood,
  retainedFlood,
  aliasFlood,
  propertyFlood,
  handshakes,
  wills,
  takeovers,
  replays,
  sharedMembers,
  tlsHandshakes,
]

/** @param only what its name contains; all of them by default */
export function attacksOf(only: string | undefined): readonly Attack[] {
  const wanted = ATTACKS.filter(({ name }) => only === undefined || name.includes(only))
  if (wanted.length > 0) return wanted
  throw new Error(`no attack is called "${only}"; there are ${ATTACKS.map(({ name }) => name).join(', ')}`)
}

export function nextAttack(attacks: readonly Attack[], random: Random): Attack {
  let left = random.between(
    1,
    attacks.reduce((sum, { weight }) => sum + weight, 0),
  )
  return attacks.find(({ weight }) => {
    left -= weight
    return left <= 0
  })!
}
