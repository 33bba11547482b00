import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { UsersFileError } from '../../../../broker/errors.ts'
import { Door } from '../../../../broker/mqtt/door/door.ts'
import { Gate, type GateSettings } from '../../../../broker/mqtt/door/gate.ts'
import { NO_RATE_LIMITS } from '../../../../broker/mqtt/door/rates.ts'
import { USERS_FILE, writeUsers } from '../../../../broker/mqtt/door/users.ts'
import { RecordingSink } from '../../log/support.ts'
import { filesDisk, REMOTE, users } from './support.ts'

const PATH = join('/data', USERS_FILE)
const ALL = [{ users: ['*'], publish: ['#'], subscribe: ['#'] }]
const SETTINGS: GateSettings = {
  anonymous: false,
  permissions: ALL,
  writers: new Map(),
  rates: NO_RATE_LIMITS,
  takesCertificates: false,
}

async function open(names: Record<string, string>, settings: Partial<GateSettings> = {}) {
  const files = new Map<string, Buffer>()
  const disk = filesDisk(files)
  const sink = new RecordingSink()
  const write = async (passwords: Record<string, string>) => writeUsers(disk, '/data', await users(passwords))
  if (Object.keys(names).length > 0) await write(names)
  const streamOf = (topic: string) => (topic.startsWith('plc/') ? 'plc' : null)
  const world = { disk, data: '/data', sink, streamOf }
  const gate = await Gate.open(world, { ...SETTINGS, ...settings })
  let changes = 0
  const removed: string[] = []
  gate.watch((gone) => {
    changes++
    removed.push(...gone)
  })
  gate.close()
  const enters = async (username: string, password: string) => {
    const isWanted = () => true
    const credentials = { clientId: 'c', username, password: Buffer.from(password), peer: REMOTE, isWanted }
    return 'name' in (await gate.door.canConnect(credentials))
  }
  return { gate, files, sink, write, enters, removed, changes: () => changes }
}

describe('the users', () => {
  it('are taken as the file has them now, and those who look at connections are told', async () => {
    const { gate, write, enters, sink, changes } = await open({ ann: 'correct horse', eve: 'battery staple' })
    expect(await enters('ann', 'correct horse')).toBe(true)
    await gate.readUsers()
    expect(changes(), 'nothing has changed').toBe(0)
    await write({ ann: 'another horse', bob: 'battery staple' })
    await gate.readUsers()
    expect(changes()).toBe(1)
    expect(await enters('ann', 'correct horse')).toBe(false)
    expect(await enters('ann', 'another horse')).toBe(true)
    expect(await enters('bob', 'battery staple')).toBe(true)
    expect(await enters('eve', 'battery staple')).toBe(false)
    expect(JSON.stringify(sink)).toContain('"added":"bob"')
  })

  it('that are removed are told by name; a file that is missing for a moment removes nobody for good', async () => {
    const { gate, files, write, removed } = await open({ ann: 'correct horse', eve: 'battery staple' })
    expect([gate.door.isUser('ann'), gate.door.isGone('ann'), gate.door.isGone('bob')]).toEqual([
      true,
      false,
      true,
    ])
    await write({ ann: 'correct horse' })
    await gate.readUsers()
    expect(removed).toEqual(['eve'])
    files.delete(PATH)
    await gate.readUsers()
    expect(removed).toEqual(['eve'])
    expect([gate.door.isUser('ann'), gate.door.isGone('ann')]).toEqual([false, false])
    await write({ ann: 'correct horse' })
    await gate.readUsers()
    await write({})
    await gate.readUsers()
    expect(removed).toEqual(['eve', 'ann'])
  })

  it('may have any name where a listener takes certificates', async () => {
    const door = new Door(
      { anonymous: false, permissions: ALL, writerOf: () => null, takesCertificates: true },
      await users({ ann: 'correct horse' }),
    )
    expect([door.isUser('plc'), door.isGone('plc')]).toEqual([true, false])
  })

  it('that were known stay while the file cannot be read, and it is told once', async () => {
    const { gate, files, enters, sink, changes } = await open({ ann: 'correct horse' })
    files.set(PATH, Buffer.from('{'))
    await gate.readUsers()
    await gate.readUsers()
    expect(await enters('ann', 'correct horse')).toBe(true)
    expect(changes()).toBe(0)
    expect(JSON.stringify(sink).split('the users cannot be read').length - 1).toBe(1)
  })

  it('that cannot be read keep a broker from starting: the door would stand open', async () => {
    const files = new Map([[PATH, Buffer.from('{')]])
    const own = { data: '/data', sink: new RecordingSink(), streamOf: () => null }
    const world = { disk: filesDisk(files), ...own }
    await expect(Gate.open(world, SETTINGS)).rejects.toThrow(UsersFileError)
  })
})

describe('what is said of the configuration at a start', () => {
  const listeners = { exposed: [], takesCertificates: false }
  const certain = { exposed: [], takesCertificates: true }
  const writers = new Map([['plc', 'plc-1']])
  it.each([
    ['nothing where all is there', ['ann'], {}, listeners, []],
    ['nothing of an open door that nobody else reaches', [], { permissions: [] }, listeners, []],
    ['users without permissions', ['ann'], { permissions: [] }, listeners, [/no permissions: .* do nothing/]],
    ['permissions without users', [], {}, listeners, [/no users: nobody can log in/]],
    ['nothing of them with anonymous clients', [], { anonymous: true }, listeners, []],
    ['nothing of them with certificates', [], {}, certain, []],
    ['a writer that nobody is', ['ann'], { writers }, listeners, [/headwater users add/]],
    ['nothing of it with certificates', ['ann'], { writers }, certain, []],
  ] as const)('%s', async (_what, names, settings, reach, lines) => {
    const passwords = Object.fromEntries(names.map((name) => [name, 'correct horse']))
    const { gate, sink } = await open(passwords, settings)
    gate.sayWhoMayConnect(reach)
    expect(sink.lines.map(({ message }) => message)).toEqual(lines.map((line) => expect.stringMatching(line)))
  })
})

describe('settings', () => {
  it('give each stream its one writer, by the topic', async () => {
    const { gate } = await open({ ann: 'correct horse' }, { writers: new Map([['plc', 'plc-1']]) })
    const who = (name: string) => ({ name, clientId: 'c' })
    expect(gate.door.mayPublish(who('ann'), 'plc/1')).toBe(false)
    expect(gate.door.mayPublish(who('plc-1'), 'plc/1')).toBe(true)
    expect(gate.door.mayPublish(who('ann'), 'other')).toBe(true)
    expect(gate.unknownWriters).toEqual(['plc-1'])
    gate.update(SETTINGS)
    expect(gate.door.mayPublish(who('ann'), 'plc/1')).toBe(true)
  })

  it('that are taken up count at once', async () => {
    const { gate, changes } = await open({})
    gate.update({ ...SETTINGS, permissions: [], rates: { ...NO_RATE_LIMITS, connectionsPerAddress: 1 } })
    expect(changes()).toBe(1)
    expect(gate.rates.refuses(REMOTE)).toBeNull()
    expect(gate.rates.refuses(REMOTE)).toBe('limits.connectionsPerAddressMax is reached')
  })
})
