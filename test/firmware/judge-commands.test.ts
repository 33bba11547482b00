import { expect, it } from 'vitest'
import { judgeCommands, type Received } from './judge-commands.ts'
import { commandOf } from './payload.ts'

const subscribed: Received = { kind: 'subscribed', boot: 1 }
const commands = (...numbers: number[]): Received[] =>
  numbers.map((number) => ({ kind: 'command', boot: 1, number }))
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)
const book = (sent: number, ...received: Received[]) => ({ name: 'm3', sent, received })
const judged = (sent: number, received: Received[], kills = { bridge: 0, broker: 0 }) =>
  judgeCommands(book(sent, subscribed, ...received), kills)

it('finds nothing where all came in order, and some again after a break', () => {
  expect(judged(4, commands(1, 2, 3, 4))).toEqual({ repeated: 0, problems: [] })
  // one more than was acknowledged to the publisher
  expect(judged(3, commands(1, 2, 3, 4)).problems).toEqual([])
  expect(judged(4, [...commands(1, 2, 3), subscribed, ...commands(3, 4)])).toEqual({
    repeated: 1,
    problems: [],
  })
  expect(judged(4, commands(1, 2, 3, 2, 3, 4, 4), { bridge: 1, broker: 0 }).problems).toEqual([])
  // the broker goes back to its last checkpoint, and the bridge takes out what it knows
  const far = commands(...range(1, 56), 45, 46, 53, 54, 55, 56, 57, 57, 58)
  expect(judged(58, far, { bridge: 0, broker: 1 })).toEqual({ repeated: 7, problems: [] })
})

it('finds what did not come, came out of order, or is no command', () => {
  expect(judged(4, commands(1, 2, 4)).problems).toEqual([
    'm3: 1 commands that were acknowledged to their publisher did not come: 3',
  ])
  expect(judged(4, commands(1, 3, 2, 4), { bridge: 3, broker: 0 }).problems).toEqual([
    'm3: 1 commands came for the first time out of order: 2',
  ])
  expect(judged(2, commands(2, 1), { bridge: 3, broker: 0 }).problems).toHaveLength(1)
  expect(judged(1, [...commands(1), { kind: 'bad', boot: 1, what: 9 }]).problems).toEqual([
    'm3: 1 no commands, or subscriptions that were refused: 9',
  ])
})

it('finds commands that come again without a break, and those of long ago without a kill of the broker', () => {
  expect(judged(3, commands(1, 2, 2, 3, 3)).problems).toEqual([
    'm3: commands came again 2 times, at 1 breaks',
  ])
  const far = [...commands(...range(1, 20)), subscribed, ...commands(...range(5, 21))]
  expect(judged(21, far, { bridge: 1, broker: 0 }).problems).toEqual([
    'm3: commands of long ago came again 1 times, at 0 kills of the broker',
  ])
})

it('a command is its number and a padding that is made of it', () => {
  expect(commandOf(1).toString('hex')).toBe('000000011f30415263748596'.slice(0, 8 + 14))
  expect(commandOf(60)).toHaveLength(4)
})
