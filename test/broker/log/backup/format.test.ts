/** The container of a backup: what was written comes out whatever pieces it comes in, and nothing else does. */
import { beforeAll, describe, expect, it } from 'vitest'
import { BackupDamagedError, BackupForeignError } from '../../../../broker/errors.ts'
import { FrameKind, FrameReader, FrameWriter } from '../../../../broker/log/backup/format.ts'
import { MemoryDisk } from '../../../support/memory-disk.ts'
import { seededRandom, testSeed } from '../../../support/random.ts'
import { append, temporaryDirectory } from '../support.ts'
import { check, collect, openAll, pieced } from './support.ts'

/** A small one with something of everything: a fact, notes, two segments, two partitions. */
let small: Buffer
beforeAll(async () => {
  const path = temporaryDirectory()
  const disk = new MemoryDisk()
  await disk.makeDirectory(path)
  const opened = await openAll(disk, path)
  await opened.data.facts.put('sync/checkpoint/central', Buffer.from('{}'))
  opened.qos2
    .get('main')!
    .add({ clientId: 'c', packetId: 1, isDup: false, topic: 't', payload: Buffer.from('p') })
  await append(opened.log, 0, ['a'])
  await append(opened.log, 1, ['b', 'c'])
  opened.log.chains()[0]!.roll()
  await append(opened.log, 0, ['d'])
  small = await collect(opened.log.backup())
  await opened.close()
})

describe('frames', () => {
  it('come out as they went in, from pieces of every size', async () => {
    const writer = new FrameWriter()
    const payloads = [Buffer.from('x'), Buffer.alloc(0), Buffer.alloc(1000, 7)]
    const bytes = Buffer.concat([
      writer.start(),
      ...payloads.map((payload) =>
        writer.frame(FrameKind.entries, payload.subarray(0, 3), payload.subarray(3)),
      ),
    ])
    for (const pieceBytes of [1, 2, 3, 12, 13, 500, bytes.length]) {
      const reader = new FrameReader(pieced(bytes, pieceBytes), 'a')
      await reader.start()
      for (const payload of payloads) {
        expect(await reader.next()).toEqual({ kind: FrameKind.entries, payload })
      }
      await reader.end()
      expect(reader.sums).toEqual(writer.sums)
    }
  })

  it('begin with the bytes that the grammar gives as its example', () => {
    expect(small.subarray(0, 13).toString('hex')).toBe('48574241434b555000000001' + '48')
    expect(small[21]).toBe('{'.charCodeAt(0))
  })
})

describe('a backup', () => {
  it('is read from pieces of every size', async () => {
    const whole = await check(small)
    expect(whole).toMatchObject({
      records: 4,
      batches: 3,
      segments: 2,
      facts: 1,
      isWhole: true,
      edge: 'line-7',
    })
    for (const pieceBytes of [1, 7, 64]) expect(await check(small, pieceBytes)).toEqual(whole)
  })

  it('that was cut short at any byte is told from a whole one', async () => {
    for (let length = 0; length < small.length; length++) {
      const reading = check(small.subarray(0, length))
      if (length === 0) await expect(reading).rejects.toThrow(BackupForeignError)
      else
        await expect(reading, `cut to ${length}`).rejects.toThrow(
          `it was cut short: it ends at byte ${length}`,
        )
    }
  })

  it('of which any byte was changed is refused', async () => {
    const random = seededRandom(testSeed())
    for (let at = 0; at < small.length; at++) {
      const changed = Buffer.from(small)
      changed[at]! ^= 1 << random.between(0, 7)
      const error = await check(changed).catch((thrown) => thrown)
      // a version that is higher may be a newer one's
      const isForeign = at < 8 || (at < 12 && changed.readUInt32BE(8) > 1)
      expect(error, `byte ${at}`).toBeInstanceOf(isForeign ? BackupForeignError : BackupDamagedError)
    }
  })

  it('with a frame left out, repeated or moved is refused', async () => {
    const frames = framesOf(small)
    const joined = (some: Buffer[]) => Buffer.concat([small.subarray(0, 12), ...some])
    expect((await check(joined(frames))).records).toBe(4)
    for (let i = 0; i < frames.length - 1; i++) {
      const [left, repeated, moved] = [[...frames], [...frames], [...frames]]
      left.splice(i, 1)
      repeated.splice(i, 0, frames[i]!)
      moved.splice(i, 2, frames[i + 1]!, frames[i]!)
      for (const some of [left, repeated, moved]) {
        await expect(check(joined(some)), `frame ${i}`).rejects.toThrow(BackupDamagedError)
      }
    }
  })

  it('with something behind its end is refused', async () => {
    await expect(check(Buffer.concat([small, Buffer.of(0)]))).rejects.toThrow('something follows its end')
  })

  it('of a newer version is refused with what to do, and so is what is none', async () => {
    const newer = Buffer.from(small)
    newer.writeUInt32BE(2, 8)
    const refused = await check(newer).catch((error) => error)
    expect(refused.line).toBe(
      'HW_BACKUP_FOREIGN: a.hwb: it has version 2, this Headwater reads up to 1 - use the Headwater that wrote it, or a newer one',
    )
    for (const bytes of [
      Buffer.from('PK\x03\x04 something else'),
      Buffer.from('HWBACKUq'),
      Buffer.from('x'),
    ]) {
      await expect(check(bytes)).rejects.toThrow('it is no backup of Headwater')
    }
  })

  it('of a data directory of a newer format is refused', async () => {
    const writer = new FrameWriter()
    const header = {
      headwater: '9.1.0',
      dataFormat: 99,
      edge: 'e',
      incarnation: 'i',
      streams: [],
      chains: [],
    }
    const bytes = Buffer.concat([
      writer.start(),
      writer.frame(FrameKind.header, Buffer.from(JSON.stringify(header))),
    ])
    const refused = await check(bytes).catch((error) => error)
    expect(refused.line).toMatch(
      /HW_BACKUP_FOREIGN: .* format 99, .* - use Headwater 9\.1\.0, which wrote it/,
    )
  })
})

/** The frames of a backup as they stand. */
function framesOf(backup: Buffer): Buffer[] {
  const frames: Buffer[] = []
  for (let at = 12; at < backup.length; ) {
    const end = at + 13 + backup.readUInt32BE(at + 1)
    frames.push(backup.subarray(at, end))
    at = end
  }
  return frames
}
