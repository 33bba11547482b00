/** Garbage on the wire, under AddressSanitizer and UndefinedBehaviorSanitizer: whatever comes, the library stays within its memory and goes on. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { playLives, type Random } from '../../support/random.ts'
import { isSkipped } from './compilers.ts'
import { buildDriver, Device, State } from './device.ts'
import { frame, message, Type } from './frames.ts'

const LIVES = 4
const GARBAGE_BYTES = 400_000
const MESSAGES = 3000

const skipped = isSkipped('garbage for the device library', 'cc')
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

/** Any bytes in a frame that is good: what a gateway gone mad would send. */
function anyMessage(random: Random): Buffer {
  const n = random.between(0, 126)
  const type = random.next() < 0.9 ? random.between(0, 0x20) : random.between(0, 255)
  const bytes = Buffer.from(
    Array.from({ length: n }, () => (random.next() < 0.3 ? 0 : random.between(0, 255))),
  )
  return message(type, bytes)
}

describe.skipIf(skipped)('garbage', () => {
  let framed: ReturnType<typeof buildDriver>
  let bare: ReturnType<typeof buildDriver>
  beforeAll(() => {
    framed = buildDriver('HW_WITH_WILL=1')
    bare = buildDriver('HW_BARE=1', 'HW_WITH_WILL=1')
  })
  afterAll(() => {
    framed?.remove()
    bare?.remove()
  })

  const begin = [
    'new dev 10',
    'topic 0 name t/one',
    'topic 1 id 7',
    'topic 2 name cmd/#',
    'sub 2 32',
    'connect',
  ]
  const isAlive = async (device: Device, wrap: (message: Buffer) => Buffer) => {
    await device.do(...begin, `in ${hex(wrap(message(Type.connack, 0)))}`)
    expect((await device.read()).state).toBe(State.connected)
  }

  it('as bytes is dropped and counted, and the next good frame is taken', async () => {
    await playLives(LIVES, async (random) => {
      const device = new Device(framed.path)
      try {
        await isAlive(device, frame)
        await device.do(`garbage ${random.between(1, 2 ** 31)} ${GARBAGE_BYTES}`)
        expect((await device.read()).dropped).toBeGreaterThan(0)
        await isAlive(device, frame)
      } finally {
        device.end()
      }
    })
  }, 60_000)

  it.each([
    ['frames', false],
    ['datagrams', true],
  ])(
    'in good %s does no harm',
    async (_, isBare) => {
      await playLives(LIVES, async (random) => {
        const device = new Device(isBare ? bare.path : framed.path, { isBare })
        const wrap = isBare ? (bytes: Buffer) => bytes : frame
        try {
          await isAlive(device, wrap)
          for (let i = 0; i < MESSAGES; i += 50) {
            const messages = Array.from({ length: 50 }, () => `in ${hex(wrap(anyMessage(random)))}`)
            await device.pass(random.between(0, 3000))
            await device.do(
              ...messages,
              `pub ${random.between(0, 1)} 32 01020304`,
              'sleep 5',
              'wake',
              'connect',
              'time',
            )
          }
          await isAlive(device, wrap)
        } finally {
          device.end()
        }
      })
    },
    60_000,
  )
})
