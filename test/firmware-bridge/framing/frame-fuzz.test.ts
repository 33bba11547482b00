/**
 * What a decoder lets through that nobody sent. CRC-16 finds every error of up to three bits and every burst of up to 16; of what is
 * left it lets one in 65,536 through, and the message's own length field stops most of that. FRAMES_FUZZED=20000000 takes its time and
 * prints what is documented in firmware-bridge/framing/DESIGN.md.
 */
import { describe, expect, it } from 'vitest'
import { cobsBytesMax, cobsEncode } from '../../../firmware-bridge/framing/cobs.ts'
import { crc16 } from '../../../firmware-bridge/framing/crc16.ts'
import { FrameDecoder } from '../../../firmware-bridge/framing/frame-decoder.ts'
import { FrameEncoder } from '../../../firmware-bridge/framing/frame-encoder.ts'
import { type Random, seededRandom, testSeed } from '../../support/random.ts'
import { someMessage } from './collected.ts'

const LIMIT_MS = 1500
const FRAMES_MAX = Number(process.env.FRAMES_FUZZED ?? 1_000_000)
const LIMIT = process.env.FRAMES_FUZZED === undefined ? LIMIT_MS : Number.POSITIVE_INFINITY
/** One in 65,536, and what chance may add to it. */
const wrongMax = (frames: number) => 5 + (3 * frames) / 65_536

/** Changes to the bytes of a frame, its delimiters left out; each makes another frame of it. */
const MUTATIONS: Record<string, (frame: Buffer, random: Random) => Buffer> = {
  'one bit flipped': (frame, random) => flipped(frame, random, 1),
  'two bits flipped': (frame, random) => flipped(frame, random, 2),
  'three to eight bits flipped': (frame, random) => flipped(frame, random, random.between(3, 8)),
  'a byte lost': (frame, random) => spliced(frame, random.between(0, frame.length - 1), 1, []),
  'a byte more': (frame, random) =>
    spliced(frame, random.between(0, frame.length), 0, [random.between(1, 255)]),
  'a run of bytes lost': (frame, random) =>
    spliced(frame, random.between(0, frame.length - 1), random.between(2, 16), []),
  'a run of bytes replaced': (frame, random) => {
    const length = random.between(2, Math.min(16, frame.length))
    const run = Array.from({ length }, () => random.between(1, 255))
    return spliced(frame, random.between(0, frame.length - length), length, run)
  },
  'the end of another frame': (frame, random) => {
    other = someMessage(random)
    const next = frameOf(other)
    return Buffer.concat([
      frame.subarray(0, random.between(1, frame.length)),
      next.subarray(random.between(0, next.length - 1)),
    ])
  },
  'bytes of any kind': (frame, random) =>
    Buffer.from(Array.from({ length: frame.length }, () => random.between(1, 255))),
}

const encoder = new FrameEncoder(128)
/** The message of that other frame: its whole frame can be what is left. */
let other: Buffer = Buffer.alloc(0)

const frameOf = (message: Uint8Array) => Buffer.from(encoder.encode(message)).subarray(1, -1)

function flipped(frame: Buffer, random: Random, bits: number): Buffer {
  const hit = Buffer.from(frame)
  for (let i = 0; i < bits; i++) hit[random.between(0, hit.length - 1)]! ^= 1 << random.between(0, 7)
  return hit
}

function spliced(frame: Buffer, at: number, lost: number, more: readonly number[]): Buffer {
  return Buffer.concat([frame.subarray(0, at), Buffer.from(more), frame.subarray(at + lost)])
}

interface Tally {
  frames: number
  wrong: number
  dropped: number
}

describe('of mutated frames hardly one gets through', () => {
  it.each(Object.entries(MUTATIONS))(
    '%s',
    (name, mutate) => {
      const random = seededRandom(testSeed())
      const tally: Tally = { frames: 0, wrong: 0, dropped: 0 }
      let original: Buffer = Buffer.alloc(0)
      const decoder = new FrameDecoder(128, {
        onMessage: (message) => {
          if (!original.equals(message) && !other.equals(message)) tally.wrong++
        },
        onDropped: () => {
          tally.dropped++
        },
      })
      const delimiter = Uint8Array.of(0)
      const share = 1 / Object.keys(MUTATIONS).length
      const end = performance.now() + LIMIT * share
      while (tally.frames < FRAMES_MAX * share && performance.now() < end) {
        original = someMessage(random, random.next() < 0.5 ? 16 : 128)
        const frame = frameOf(original)
        const bad = mutate(frame, random)
        if (bad.equals(frame)) continue
        tally.frames++
        decoder.push(bad)
        decoder.push(delimiter)
      }
      if (process.env.FRAMES_FUZZED !== undefined) console.log(name, JSON.stringify(tally))
      expect(tally.dropped).toBeGreaterThan(0)
      expect(tally.wrong, `seed ${testSeed()}, of ${tally.frames}`).toBeLessThanOrEqual(
        wrongMax(tally.frames),
      )
    },
    3_600_000,
  )
})

describe('garbage without end', () => {
  it('never becomes a message that fails its checks, and the next good frame is read', () => {
    const random = seededRandom(testSeed())
    let isExpected = false
    let good = 0
    let chance = 0
    let dropped = 0
    const decoder = new FrameDecoder(128, {
      onMessage: (message) => {
        expect(message[0] === 1 ? (message[1]! << 8) | message[2]! : message[0]).toBe(message.length)
        if (isExpected && message.length === 2) good++
        else chance++
      },
      onDropped: () => {
        dropped++
      },
    })
    const ping = encoder.encode(Buffer.from([2, 0x16])).slice()
    const end = performance.now() + LIMIT_MS
    let rounds = 0
    while (rounds < 20_000 && performance.now() < end) {
      rounds++
      const garbage = new Uint8Array(random.between(1, 600))
      for (let i = 0; i < garbage.length; i++) garbage[i] = random.between(0, 255)
      isExpected = false
      decoder.push(garbage)
      isExpected = true
      decoder.push(ping)
    }
    expect(good, `seed ${testSeed()}`).toBe(rounds)
    expect(dropped).toBeGreaterThan(rounds / 2)
    expect(chance).toBeLessThanOrEqual(wrongMax(dropped))
  })
})

describe('the checks one by one', () => {
  it('no two wrong bits of a message or its CRC pass, wherever they are', () => {
    const random = seededRandom(testSeed())
    const message = someMessage(random, 20)
    const plain = Buffer.concat([message, Buffer.alloc(2)])
    plain.writeUInt16BE(crc16(message), message.length)
    const bits = plain.length * 8
    const target = Buffer.alloc(cobsBytesMax(plain.length))
    let passed = 0
    const decoder = new FrameDecoder(128, {
      onMessage: () => {
        passed++
      },
      onDropped: () => {},
    })
    const flip = (bit: number) => {
      plain[bit >> 3]! ^= 1 << (bit & 7)
    }
    for (let a = 0; a < bits; a++) {
      flip(a)
      for (let b = a + 1; b < bits; b++) {
        flip(b)
        decoder.push(target.subarray(0, cobsEncode(plain, 0, plain.length, target, 0)))
        decoder.push(Uint8Array.of(0))
        flip(b)
      }
      flip(a)
    }
    expect(passed, `seed ${testSeed()}`).toBe(0)
  })
})
