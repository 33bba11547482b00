import { expect, test } from 'vitest'
import {
  type Downlinking,
  type Replication,
  UpstreamCommands,
} from '../../../broker/operations/upstream-commands.ts'

function replications() {
  const calls: string[] = []
  const of = (name: string): Replication => ({
    status: () => ({ name }) as ReturnType<Replication['status']>,
    onChange: () => () => {},
    pause: async () => void calls.push(`${name} pause`),
    resume: async () => void calls.push(`${name} resume`),
    now: () => void calls.push(`${name} now`),
    rewind: async ({ stream, to }) => {
      calls.push(`${name} rewind ${stream} ${[...to].join(' ')}`)
      return { partitions: [...to].map(([partition, next]) => ({ stream, partition, from: 9, to: next })) }
    },
    close: async () => void calls.push(`${name} close`),
  })
  const commands = new UpstreamCommands(new Map(['a', 'b'].map((name) => [name, of(name)])))
  return { commands, calls }
}

test('a command without a name is for all upstreams, with one for that one', async () => {
  const { commands, calls } = replications()
  commands.pause()
  commands.resume('b')
  commands.now('a')
  await commands.close()
  expect(calls).toEqual(['a pause', 'b pause', 'b resume', 'a now', 'a close', 'b close'])
  expect(commands.status().map(({ name }) => name)).toEqual(['a', 'b'])
})

test('a rewind reaches the upstream that is named', async () => {
  const { commands, calls } = replications()
  const rewound = await commands.rewind('b', 'events', new Map([[1, 4]]))
  expect(rewound).toEqual([{ stream: 'events', partition: 1, from: 9, to: 4 }])
  expect(calls).toEqual(['b rewind events 1,4'])
  await expect(commands.rewind('c', 'events', new Map([[1, 4]]))).rejects.toThrow('no upstream "c"')
})

test('a downlink takes the same commands, under its own name', async () => {
  const calls: string[] = []
  const downlink: Downlinking = {
    status: () => ({ name: 'd' }) as ReturnType<Downlinking['status']>,
    pause: () => void calls.push('pause'),
    resume: () => void calls.push('resume'),
    now: () => void calls.push('now'),
    close: async () => void calls.push('close'),
  }
  const commands = new UpstreamCommands(new Map(), new Map([['d', downlink]]))
  commands.pause('d')
  commands.resume()
  commands.now('d')
  await commands.close()
  expect(calls).toEqual(['pause', 'resume', 'now', 'close'])
  expect(commands.status()).toEqual([])
  expect(commands.downlinks().map(({ name }) => name)).toEqual(['d'])
})

test('an unknown name is refused with the known ones', () => {
  expect(() => replications().commands.pause('c')).toThrow('there is no upstream "c"')
})
