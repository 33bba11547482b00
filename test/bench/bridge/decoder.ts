/** How fast a serial line's bytes become messages, on one core; beside serialport's own parser, which cuts at the delimiter and checks nothing. */
import { DelimiterParser } from 'serialport'
import { FrameDecoder } from '../../../firmware-bridge/framing/frame-decoder.ts'
import { FrameEncoder } from '../../../firmware-bridge/framing/frame-encoder.ts'
import { type Random, seededRandom } from '../../support/random.ts'
import { type Field, type Section, section, significant, thousands, times } from '../report.ts'
import { medians, ratio } from '../statistics.ts'

const MEGABYTES = 200
const QUICK_MEGABYTES = 20
const INPUT_BYTES = 2_000_000

/** MQTT-SN's type; one of a forwarder would carry another message. */
const PUBLISH = 0x0c

interface Case {
  readonly name: string
  readonly messageBytes: number
  /** Bytes of one read of the port. */
  readonly chunkBytes: number
  readonly isGarbage?: boolean
}

const CASES: readonly Case[] = [
  { name: 'messages of 32 B, reads of 64 B', messageBytes: 32, chunkBytes: 64 },
  { name: 'messages of 32 B, reads of 4 kB', messageBytes: 32, chunkBytes: 4096 },
  { name: 'messages of 128 B, reads of 4 kB', messageBytes: 128, chunkBytes: 4096 },
  { name: 'garbage, reads of 64 B', messageBytes: 0, chunkBytes: 64, isGarbage: true },
]

interface Result {
  readonly megabytesPerSecond: number
  readonly framesPerSecond: number
}

interface Row extends Result {
  readonly case: string
  readonly timesParser: number
}

/** Wire bytes, in the chunks in which they are read. */
function input({ messageBytes, chunkBytes, isGarbage = false }: Case): Uint8Array[] {
  const random = seededRandom(1)
  const wire = Buffer.alloc(INPUT_BYTES)
  const encoder = new FrameEncoder(128)
  for (let at = 0; at < wire.length; ) {
    const piece = isGarbage ? Buffer.from([random.between(0, 255)]) : frame(encoder, messageBytes, random)
    at += Buffer.from(piece).copy(wire, at)
  }
  const chunks: Uint8Array[] = []
  for (let at = 0; at < wire.length; at += chunkBytes) chunks.push(wire.subarray(at, at + chunkBytes))
  return chunks
}

function frame(encoder: FrameEncoder, messageBytes: number, random: Random): Uint8Array {
  const message = new Uint8Array(messageBytes).map(() => random.between(0, 255))
  message[0] = messageBytes
  message[1] = PUBLISH
  return encoder.encode(message)
}

function measured(
  chunks: readonly Uint8Array[],
  megabytes: number,
  push: (chunk: Uint8Array) => void,
  frames: () => number,
): Result {
  for (const chunk of chunks) push(chunk)
  const before = frames()
  const rounds = Math.ceil((megabytes * 1e6) / INPUT_BYTES)
  const start = process.cpuUsage()
  for (let round = 0; round < rounds; round++) for (const chunk of chunks) push(chunk)
  const { user, system } = process.cpuUsage(start)
  const seconds = (user + system) / 1e6
  return {
    megabytesPerSecond: (rounds * INPUT_BYTES) / 1e6 / seconds,
    framesPerSecond: (frames() - before) / seconds,
  }
}

function own(chunks: readonly Uint8Array[], megabytes: number): Result {
  let frames = 0
  const count = () => {
    frames++
  }
  const decoder = new FrameDecoder(128, { onMessage: count, onDropped: count })
  return measured(
    chunks,
    megabytes,
    (chunk) => decoder.push(chunk),
    () => frames,
  )
}

function serialports(chunks: readonly Uint8Array[], megabytes: number): Result {
  let frames = 0
  const parser = new DelimiterParser({ delimiter: [0] })
  parser.on('data', () => {
    frames++
  })
  return measured(
    chunks,
    megabytes,
    (chunk) => parser.write(chunk),
    () => frames,
  )
}

const FIELDS: readonly Field<Row>[] = [
  { title: 'case', text: (row) => row.case },
  { title: 'MB/s', align: 'right', text: (row) => significant(row.megabytesPerSecond) },
  { title: 'frames/s', align: 'right', text: (row) => thousands(row.framesPerSecond) },
  { title: "against serialport's parser", align: 'right', text: (row) => times(row.timesParser) },
]

export function decoder(runs: number, isQuick: boolean): Section {
  const megabytes = isQuick ? QUICK_MEGABYTES : MEGABYTES
  const rows = CASES.map((one): Row => {
    const chunks = input(one)
    const results = Array.from({ length: runs }, () => ({
      ours: own(chunks, megabytes),
      theirs: serialports(chunks, megabytes / 10),
    }))
    const ours = results.map((result) => result.ours)
    const theirs = results.map((result) => result.theirs)
    return {
      case: one.name,
      ...medians(ours),
      timesParser: ratio(ours, theirs, (result) => result.megabytesPerSecond),
    }
  })
  return section('decoder: COBS, CRC-16 and length checked, per second of one core', FIELDS, rows)
}
