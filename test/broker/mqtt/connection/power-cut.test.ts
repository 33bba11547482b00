/** A client publishes, and the power is cut, or the broker killed, at each change of the disk in turn; then it goes on as the protocol says. */
import { expect, it } from 'vitest'
import { FaultyDisk } from '../../../support/faulty-disk.ts'
import { MemoryDisk } from '../../../support/memory-disk.ts'
import { type FrontTest, startFront, type TestClient } from './support.ts'

type Step = 'publish' | 'release' | 'done'

/** A client's own state, which survives: what it has not finished it goes on with [MQTT-4.4.0-1]. */
class Publisher {
  readonly qos: 1 | 2
  readonly payloads = ['first', 'second', 'third']
  at = 0
  step: Step = 'publish'
  #wasSent = false

  constructor(qos: 1 | 2) {
    this.qos = qos
  }

  get isDone(): boolean {
    return this.at === this.payloads.length
  }

  /** Goes on until all is done; rejects when the connection ends. */
  async run(client: TestClient): Promise<void> {
    while (!this.isDone) {
      if (this.step === 'publish') {
        // the same packet id for all: an earlier message must not be taken for a later one
        client.publish(this.qos, 1, this.payloads[this.at]!, { dup: this.#wasSent })
        this.#wasSent = true
        await client.next(this.qos === 1 ? 'puback' : 'pubrec')
        this.step = this.qos === 1 ? 'done' : 'release'
      }
      if (this.step === 'release') {
        client.send({ cmd: 'pubrel', messageId: 1 })
        await client.next('pubcomp')
      }
      this.step = 'publish'
      this.#wasSent = false
      this.at++
    }
  }
}

async function connected({ connect }: FrontTest): Promise<TestClient> {
  return connect({ clean: false, properties: { sessionExpiryInterval: 1000 } })
}

async function run(
  qos: 1 | 2,
  isKill: boolean,
  cutAt: number,
): Promise<{ changes: number; values: string[] }> {
  const memory = new MemoryDisk()
  const disk = new FaultyDisk(memory)
  const test = await startFront({ disk })
  const publisher = new Publisher(qos)
  const client = await connected(test)
  const before = disk.trace.length
  if (isKill) disk.endProcessAt(cutAt)
  else disk.cutPowerAt(cutAt)
  await Promise.race([publisher.run(client).catch(() => {}), disk.whenCut])
  const changes = disk.trace.length - before
  const acknowledged = publisher.payloads.slice(0, publisher.at)
  client.stream.destroy()
  if (!disk.isOff) disk.cutPower()
  await test.close().catch(() => {})

  const again = await startFront({ disk: new FaultyDisk(memory) })
  const kept = await again.values()
  expect(kept).toEqual(expect.arrayContaining(acknowledged))
  await publisher.run(await connected(again))
  return { changes, values: await again.values() }
}

it.each([
  { qos: 1, isKill: false, what: 'the power is cut' },
  { qos: 1, isKill: true, what: 'the broker is killed' },
  { qos: 2, isKill: false, what: 'the power is cut' },
  { qos: 2, isKill: true, what: 'the broker is killed' },
] as const)(
  'QoS $qos: nothing acknowledged is lost wherever $what; with QoS 2 nothing comes twice',
  async ({ qos, isKill }) => {
    const { changes, values } = await run(qos, isKill, Number.POSITIVE_INFINITY)
    expect(values).toEqual(['first', 'second', 'third'])
    expect(changes).toBeGreaterThanOrEqual(qos === 1 ? 3 : 6)
    for (let cutAt = 1; cutAt <= changes; cutAt++) {
      const cut = await run(qos, isKill, cutAt)
      if (qos === 2) expect(cut.values, `cut at ${cutAt}`).toEqual(['first', 'second', 'third'])
      else {
        expect([...new Set(cut.values)], `cut at ${cutAt}`).toEqual(['first', 'second', 'third'])
        expect(cut.values.length).toBeLessThanOrEqual(4)
      }
    }
  },
)
