import { describe, expect, it } from 'vitest'
import type { Credentials, Principal } from '../../../../broker/mqtt/connection/access.ts'
import { Door, type DoorRules } from '../../../../broker/mqtt/door/door.ts'
import { Reason } from '../../../../broker/mqtt/packets/protocol-error.ts'
import { LOCAL, REMOTE, users } from './support.ts'

const ALL = [{ users: ['*'], publish: ['#'], subscribe: ['#'] }]
const rules = (changes: Partial<DoorRules> = {}): DoorRules => ({
  anonymous: false,
  permissions: [],
  writerOf: () => null,
  takesCertificates: false,
  ...changes,
})
const asks = (changes: Partial<Credentials> = {}): Credentials => ({
  clientId: 'c1',
  username: null,
  password: null,
  peer: LOCAL,
  isWanted: () => true,
  ...changes,
})
const named = (username: string, password: string, peer = REMOTE) =>
  asks({ username, password: Buffer.from(password), peer })
const ann = (clientId = 'c1'): Principal => ({ name: 'ann', clientId })

describe('a door that nobody has configured', () => {
  it('lets clients of this machine do everything, and nobody else in', async () => {
    const door = new Door(rules(), new Map())
    const client = { name: null, clientId: 'c1' }
    expect(door.isUnguarded).toBe(true)
    expect(await door.canConnect(asks())).toEqual(client)
    expect(await door.canConnect(asks({ peer: { ...LOCAL, address: '::ffff:127.0.0.1' } }))).toEqual(client)
    expect(await door.canConnect(named('some', 'one', LOCAL)), 'a name is nothing here').toEqual(client)
    expect(door.mayPublish(client, 'a/b')).toBe(true)
    expect(door.maySubscribe(client, '#')).toBe(true)
    expect(await door.canConnect(asks({ peer: REMOTE }))).toMatchObject({
      reasonCode: Reason.notAuthorized,
      text: expect.stringContaining('only clients of this machine'),
    })
    expect(await door.canConnect(named('some', 'one'))).toMatchObject({ reasonCode: Reason.notAuthorized })
  })

  it('lets everybody in where anonymous clients are', async () => {
    const door = new Door(rules({ anonymous: true }), new Map())
    expect(await door.canConnect(asks({ peer: REMOTE }))).toEqual({ name: null, clientId: 'c1' })
  })

  it('keeps the topics of a stream with a writer from all without a name', () => {
    const door = new Door(rules({ writerOf: (topic) => (topic === 'plc' ? 'ann' : null) }), new Map())
    expect(door.mayPublish({ name: null, clientId: 'ann' }, 'plc')).toBe(false)
    expect(door.mayPublish({ name: null, clientId: 'ann' }, 'other')).toBe(true)
  })
})

describe('a door with users', () => {
  it('takes a right password alone, and says to the log what was wrong', async () => {
    const door = new Door(rules(), await users({ ann: 'correct horse' }))
    expect(await door.canConnect(named('ann', 'correct horse'))).toEqual(ann())
    const refusals: [Credentials, number, string][] = [
      [named('ann', 'wrong'), Reason.badCredentials, 'its password is wrong'],
      [asks({ username: 'ann', peer: REMOTE }), Reason.badCredentials, 'its password is wrong'],
      [named('bob', 'correct horse'), Reason.badCredentials, 'there is no such user'],
      [named('', 'x'), Reason.badCredentials, 'there is no such user'],
      [asks(), Reason.notAuthorized, 'it gives no user name, and mqtt.anonymous is false'],
    ]
    for (const [credentials, reasonCode, text] of refusals)
      expect(await door.canConnect(credentials)).toEqual({ reasonCode, text })
  })

  it('denies what no permission allows, to clients of this machine as well', async () => {
    const door = new Door(rules({ anonymous: true }), await users({ ann: 'correct horse' }))
    expect(door.isUnguarded).toBe(false)
    expect(await door.canConnect(asks())).toEqual({ name: null, clientId: 'c1' })
    expect(door.mayPublish({ name: null, clientId: 'c1' }, 'a')).toBe(false)
    expect(door.mayPublish(ann(), 'a')).toBe(false)
    expect(door.maySubscribe(ann(), 'a')).toBe(false)
  })

  it('takes the name in a certificate for the user, whatever else the client says', async () => {
    const door = new Door(rules(), await users({ ann: 'correct horse' }))
    const credentials = { ...named('ann', 'wrong'), peer: { ...REMOTE, identity: 'sensor-7' } }
    expect(await door.canConnect(credentials)).toEqual({ name: 'sensor-7', clientId: 'c1' })
  })

  it('lets nobody but the writer publish to its stream, and the writer only with a permission', async () => {
    const known = await users({ ann: 'correct horse', bob: 'correct horse' })
    const writerOf = (topic: string) => (topic.startsWith('plc/') ? 'ann' : null)
    const door = new Door(rules({ permissions: ALL, writerOf }), known)
    expect(door.mayPublish(ann(), 'plc/1')).toBe(true)
    expect(door.mayPublish({ name: 'bob', clientId: 'ann' }, 'plc/1')).toBe(false)
    expect(door.mayPublish({ name: 'bob', clientId: 'ann' }, 'x')).toBe(true)
    door.update(rules({ writerOf }), known)
    expect(door.mayPublish(ann(), 'plc/1')).toBe(false)
  })
})

describe('a guest', () => {
  const login = (password: string) => asks({ username: 'own/demo', password: Buffer.from(password) })

  it('is let in with its own password alone, to publish what it is for, and closes no door', async () => {
    const door = new Door(rules(), new Map())
    const password = door.guests.add('own/demo', ['demo/#'])
    const guest = (await door.canConnect({ ...login(password), peer: REMOTE })) as Principal
    expect(guest).toEqual({ name: 'own/demo', clientId: 'c1' })
    expect(door.isUnguarded).toBe(true)
    const check = () => {
      expect([door.mayPublish(guest, 'demo/1'), door.mayPublish(guest, 'other')]).toEqual([true, false])
      expect([door.maySubscribe(guest, 'demo/1'), door.knows(guest, REMOTE)]).toEqual([false, true])
    }
    check()
    door.update(rules({ permissions: ALL }), await users({ ann: 'correct horse' }))
    check()
    for (const wrong of ['', 'x'.repeat(password.length), `${password}x`])
      expect(await door.canConnect(login(wrong))).toMatchObject({ reasonCode: Reason.badCredentials })
    expect(await door.canConnect(login(password))).toEqual(guest)
    door.update(rules({ permissions: ALL, writerOf: () => 'ann' }), await users({ ann: 'correct horse' }))
    expect(door.mayPublish(guest, 'demo/1'), "another one's stream").toBe(false)
  })

  it('is nobody to a client that merely has its name', async () => {
    const door = new Door(rules({ permissions: ALL }), await users({ ann: 'correct horse' }))
    door.guests.add('own/demo', ['demo/#'])
    const stranger = { name: 'own/demo', clientId: 'c1' }
    expect(door.knows(stranger, REMOTE)).toBe(false)
    door.update(rules({ permissions: [{ users: ['ann'], publish: ['#'], subscribe: [] }] }), new Map())
    expect(door.mayPublish(stranger, 'demo/1')).toBe(false)
  })
})

describe('rules that change', () => {
  it('count for those who are connected, and change the generation', async () => {
    const known = await users({ ann: 'correct horse' })
    const door = new Door(rules(), known)
    const who = ann()
    expect(door.mayPublish(who, 'a')).toBe(false)
    const before = door.generation
    door.update(rules({ permissions: ALL }), known)
    expect(door.generation).not.toBe(before)
    expect(door.mayPublish(who, 'a')).toBe(true)
  })

  it('leave out users that are removed, and clients without a name once there are users', async () => {
    const door = new Door(rules(), new Map())
    const nobody = { name: null, clientId: 'c1' }
    expect(door.knows(nobody, LOCAL)).toBe(true)
    door.update(rules(), await users({ ann: 'correct horse' }))
    expect(door.knows(nobody, LOCAL)).toBe(false)
    const who = (await door.canConnect(named('ann', 'correct horse'))) as Principal
    expect(door.knows(who, REMOTE)).toBe(true)
    expect(door.knows(ann(), REMOTE), 'never came in').toBe(false)
    expect(door.knows({ name: 'sensor-7', clientId: 'c' }, { ...REMOTE, identity: 'sensor-7' })).toBe(true)
    door.update(rules({ anonymous: true }), await users({ bob: 'correct horse' }))
    expect(door.knows(who, REMOTE)).toBe(false)
    expect(door.knows(nobody, REMOTE)).toBe(true)
  })

  it('leave out who came in with another password than the user has now', async () => {
    const known = await users({ ann: 'correct horse' })
    const door = new Door(rules(), known)
    const who = (await door.canConnect(named('ann', 'correct horse'))) as Principal
    door.update(rules({ permissions: ALL }), new Map(known))
    expect(door.knows(who, REMOTE), 'the same one').toBe(true)
    door.update(rules(), await users({ ann: 'correct horse' }))
    expect(door.knows(who, REMOTE), 'its hash has another salt: it was set again').toBe(false)
  })

  it('leave out whose certificate nobody vouches for any more', () => {
    const door = new Door(rules(), new Map())
    const peer = (isVouchedFor: boolean) => ({
      ...REMOTE,
      identity: 'sensor-7',
      isVouchedFor: () => isVouchedFor,
    })
    const sensor = { name: 'sensor-7', clientId: 'c' }
    expect([door.knows(sensor, peer(true)), door.knows(sensor, peer(false))]).toEqual([true, false])
  })
})
