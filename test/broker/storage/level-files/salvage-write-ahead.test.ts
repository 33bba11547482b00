import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { maskedCrc } from '../../../../broker/storage/level-files/masked-crc.ts'
import type { SalvageOptions } from '../../../../broker/storage/level-files/salvage-store.ts'
import { nodeDisk } from '../../../../broker/storage/node-disk.ts'
import type { Disk } from '../../../../broker/storage/store.ts'
import { withBrokenPages } from './broken-pages.ts'
import { missing, salvage as salvageIn } from './salvaged.ts'
import { logKey, removeTemporaryDirectories, type Source, Writer } from './support.ts'
import { changed, nameOf, writeLog } from './written-log.ts'

let root: string
let log: Source
beforeAll(async () => {
  ;({ root, log } = await writeLog())
})
afterAll(removeTemporaryDirectories)

const salvage = (files: ReadonlyMap<string, Buffer>, options: SalvageOptions = {}, disk: Disk = nodeDisk) =>
  salvageIn(root, files, options, disk)

describe('the salvage of a write-ahead file', () => {
  const wal = (files: ReadonlyMap<string, Buffer>) => files.get(nameOf(files, '.log'))!
  const recordBytes = 7 + 12 + 1 + 1 + 12 + 2 + 1004

  it('brings the records behind damage that LevelDB drops, and says between which keys others were written', async () => {
    for (const at of [recordBytes + 500, recordBytes + 4, recordBytes + 5]) {
      const salvaged = await salvage(
        changed(log, (files) => {
          wal(files)[at]! ^= 1
        }),
      )
      expect(missing(log, salvaged), `byte ${at}`).toEqual([191])
      expect(salvaged.report.lost).toEqual([
        {
          cause: 'wal-damaged',
          file: nameOf(log.files, '.log'),
          at: recordBytes,
          bytes: recordBytes,
          from: logKey(190, 0),
          to: logKey(192, 0),
          isByWriting: true,
        },
      ])
    }
  })

  it('tells a write that was cut short from one that was damaged', async () => {
    const cut = await salvage(
      changed(log, (files) => files.set(nameOf(files, '.log'), wal(files).subarray(0, -10))),
    )
    expect(missing(log, cut)).toEqual([200])
    expect(cut.report.lost).toMatchObject([{ cause: 'wal-torn', from: logKey(199, 0), to: null }])
    const zeros = await salvage(
      changed(log, (files) =>
        files.set(nameOf(files, '.log'), Buffer.concat([wal(files), Buffer.alloc(9000)])),
      ),
    )
    expect(missing(log, zeros)).toEqual([])
    expect(zeros.report.lost).toMatchObject([{ cause: 'wal-zeros' }])
  })

  it('brings what is around a page that the disk does not give back', async () => {
    const disk = withBrokenPages(nodeDisk, nameOf(log.files, '.log'), [0])
    const salvaged = await salvage(log.files, {}, disk)
    expect(missing(log, salvaged)).toEqual([190, 191, 192, 193])
  })

  it('does not take for a record what a client has put into a payload', async () => {
    const batch = Buffer.concat([Buffer.from('ff00000000000000010000000103666f6f03626172', 'hex')])
    const typed = Buffer.concat([Buffer.of(1), batch])
    const header = Buffer.alloc(6)
    header.writeUInt32LE(maskedCrc(typed))
    header.writeUInt16LE(batch.length, 4)
    const forged = Buffer.concat([header, typed])
    const writer = await new Writer(join(root, 'forged-wal')).open()
    await writer.write([[Buffer.from('a'), Buffer.concat([forged, Buffer.alloc(50, 1)])]])
    await writer.write([[Buffer.from('b'), Buffer.from('1')]])
    await writer.close()
    const source = writer.source('forged-wal')
    // its length as well: where it ends is not known
    const salvaged = await salvage(
      changed(source, (files) => {
        wal(files)[4]! ^= 3
      }),
    )
    expect([...salvaged.found.keys()]).toEqual(['62'])
  })

  it('leaves out what is no batch', async () => {
    const files = changed(log, (all) => all.set(nameOf(all, '.log'), all.get(nameOf(all, 'MANIFEST'))!))
    const salvaged = await salvage(files)
    expect(Math.min(...missing(log, salvaged))).toBe(190)
    expect(salvaged.found.size).toBe(189)
    expect(salvaged.report.lost[0]).toMatchObject({ cause: 'wal-foreign' })
  })
})
