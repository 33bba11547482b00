/** A downlink that a person paused stays so over a restart: the process ends, what the broker keeps does not. */
import { expect, it } from 'vitest'
import type { DownlinkConfig } from '../../../sync/config/downlink.ts'
import { createDownlink } from '../../../sync/downlink/create.ts'
import { linkMemory } from '../../../sync/index.ts'
import { ManualClock } from '../replicator-setup.ts'
import { FakePublisher, MemoryFacts, OPTIONS, settle } from './setup.ts'

/** Nobody listens there: whoever tries to connect is in backoff soon. */
const CONFIG: DownlinkConfig = { ...OPTIONS, topic: 'commands', connection: { bootstrap: ['127.0.0.1:1'] } }

it('a pause outlasts a restart, and so does its end', async () => {
  const facts = new MemoryFacts()
  const put = (name: string, payload: Uint8Array) => facts.putAll([[name, payload]])
  const memory = linkMemory({ get: (name) => facts.get(name), put })
  const sink = { info() {}, warn() {}, error() {} }
  const start = async () => {
    const wiring = { edge: 'pi-7', upstreams: [], facts, memory, publisher: new FakePublisher(), sink }
    const downlink = await createDownlink(CONFIG, {
      ...wiring,
      clock: new ManualClock(),
      trustedNow: () => null,
    })
    downlink.start()
    await settle()
    return downlink
  }
  const first = await start()
  await first.pause()
  await first.close()
  expect(String(facts.facts.get('link/commands'))).toBe('{"paused":true,"budgets":{}}')

  const second = await start()
  expect(second.status()).toMatchObject({ state: 'paused', tries: 0 })
  await second.resume()
  await second.close()

  const third = await start()
  expect(third.status().state).not.toBe('paused')
  await third.close()
})
