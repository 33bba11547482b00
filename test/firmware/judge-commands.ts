/**
 * What a device was sent against what came: each command that the broker acknowledged to its publisher, at least once, and for the first time in the
 * order in which it was published; again only where QoS 1 allows it.
 *
 * Commands come again, in their order, after a break. When the device was reset, or device and gateway had lost each other (it subscribes
 * anew), or the bridge was killed, it is what was under way: at most `receiveMax`. When the broker was killed, it is also what was
 * acknowledged to it since its last checkpoint, a second or so, and once more what its publisher had no answer for. The bridge knows some of
 * them by their packet ids and takes them out, so such a run can have gaps.
 */
export type Received =
  | { readonly kind: 'subscribed'; readonly boot: number }
  | { readonly kind: 'command'; readonly boot: number; readonly number: number }
  /** No command, or a subscription that was refused. */
  | { readonly kind: 'bad'; readonly boot: number; readonly what: number }

export interface CommandBook {
  readonly name: string
  readonly received: readonly Received[]
  /** 1 to this one were acknowledged to the publisher. */
  readonly sent: number
}

export interface Kills {
  readonly bridge: number
  readonly broker: number
}

export interface CommandVerdict {
  /** Commands that came again. */
  readonly repeated: number
  readonly problems: readonly string[]
}

/** `broker.receiveMax` of the bridge, and what its publisher repeats. */
const UNDER_WAY_MAX = 9
const NAMED_MAX = 5

export function judgeCommands({ name, received, sent }: CommandBook, kills: Kills): CommandVerdict {
  const problems: string[] = []
  const tell = (what: string, which: readonly (number | string)[]) => {
    if (which.length === 0) return
    const more = which.length > NAMED_MAX ? ', ...' : ''
    problems.push(`${name}: ${which.length} ${what}: ${which.slice(0, NAMED_MAX).join(', ')}${more}`)
  }
  const bad = received.flatMap((each) => (each.kind === 'bad' ? [each.what] : []))
  tell('no commands, or subscriptions that were refused', bad)
  const numbers = received.flatMap((each) => (each.kind === 'command' ? [each.number] : []))
  const there = new Set(numbers)
  const all = Array.from({ length: sent }, (_, i) => i + 1)
  tell(
    'commands that were acknowledged to their publisher did not come',
    all.filter((number) => !there.has(number)),
  )
  const firsts = [...there]
  tell(
    'commands came for the first time out of order',
    firsts.filter((number, i) => i > 0 && number < firsts[i - 1]!),
  )
  const back = numbers.flatMap((number, i) =>
    i > 0 && number <= numbers[i - 1]! ? [numbers[i - 1]! - number] : [],
  )
  const subscriptions = received.filter(({ kind }) => kind === 'subscribed').length
  const breaks = subscriptions + kills.bridge + 2 * kills.broker
  if (back.length > breaks)
    problems.push(`${name}: commands came again ${back.length} times, at ${breaks} breaks`)
  const far = back.filter((distance) => distance >= UNDER_WAY_MAX)
  if (far.length > kills.broker) {
    problems.push(
      `${name}: commands of long ago came again ${far.length} times, at ${kills.broker} kills of the broker`,
    )
  }
  return { repeated: numbers.length - there.size, problems }
}
