/** A backup's file: there whole or not at all, and read by what it says of itself. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import { beforeAll, describe, expect, it } from 'vitest'
import { BackupDamagedError, BackupFileError } from '../../../../broker/errors.ts'
import { writeBackup } from '../../../../broker/operations/commands/backup.ts'
import { openBackupSink, readBackupFile } from '../../../../broker/operations/commands/backup-file.ts'
import { Output } from '../../../../broker/operations/terminal/output.ts'
import { nodeDisk } from '../../../../broker/storage/node-disk.ts'
import type { Disk } from '../../../../broker/storage/store.ts'
import { FaultyDisk } from '../../../support/faulty-disk.ts'
import { MemoryDisk } from '../../../support/memory-disk.ts'
import { check, collect, openAll, pieced } from '../../log/backup/support.ts'
import { append, temporaryDirectory } from '../../log/support.ts'

const nowhere = new Output({ write: () => true, once: () => {} }, {})
let bytes: Buffer
beforeAll(async () => {
  const disk = new MemoryDisk()
  const path = temporaryDirectory()
  await disk.makeDirectory(path)
  const all = await openAll(disk, path)
  for (let i = 0; i < 20; i++) await append(all.log, 0, [`${i}`.repeat(50)])
  bytes = await collect(all.log.backup())
  await all.close()
})

async function write(disk: Disk, file: string, source = bytes, isGzip = false): Promise<void> {
  const sink = await openBackupSink(disk, file, isGzip, nowhere)
  await writeBackup(pieced(source, 700), sink, file)
}

const readAll = (file: string) => collect(readBackupFile(file))

describe('a backup is written', () => {
  it.each([false, true])('byte by byte as it came, and comes back so (gzip: %s)', async (isGzip) => {
    const file = join(temporaryDirectory(), 'a.hwb')
    await write(nodeDisk, file, bytes, isGzip)
    const written = readFileSync(file)
    expect(isGzip ? gunzipSync(written) : written).toEqual(bytes)
    expect(await readAll(file)).toEqual(bytes)
    expect((await check(await readAll(file))).records).toBe(20)
  })

  it('not at all when it does not come whole: an earlier one of its name stays', async () => {
    const directory = temporaryDirectory()
    const file = join(directory, 'a.hwb')
    writeFileSync(file, 'an earlier one')
    for (const isGzip of [false, true]) {
      await expect(write(nodeDisk, file, bytes.subarray(0, -1), isGzip)).rejects.toThrow(BackupDamagedError)
    }
    expect(readFileSync(file, 'utf8')).toBe('an earlier one')
    expect(readdirSync(directory)).toEqual(['a.hwb'])
  })

  it('not at all when the disk is full, and says so', async () => {
    for (const isGzip of [false, true]) {
      const disk = new FaultyDisk(new MemoryDisk())
      disk.fail({ on: 'write-file', nth: 2, code: 'ENOSPC' })
      const failed = await write(disk, '/usb/a.hwb', bytes, isGzip).catch((error) => error)
      expect(failed).toBeInstanceOf(BackupFileError)
      expect(failed.line).toMatch(/^HW_BACKUP_FILE: \/usb\/a\.hwb: no space is left there - free some/)
      expect(await disk.list('/usb')).toEqual([])
    }
  })

  it('whole or not at all when the power is cut at any change of the disk', async () => {
    let wasNew = false
    for (let cutAt = 1; !wasNew; cutAt++) {
      const below = new MemoryDisk()
      await below.makeDirectory('/usb')
      await below.replaceFile('/usb/a.hwb', Buffer.from('an earlier one'))
      const disk = new FaultyDisk(below)
      disk.cutPowerAt(cutAt)
      await write(disk, '/usb/a.hwb').catch(() => undefined)
      wasNew = !disk.isOff
      await disk.bury()
      const left = (await below.readFile('/usb/a.hwb'))!
      expect(left.equals(bytes) || left.toString() === 'an earlier one', `cut at ${cutAt}`).toBe(true)
      if (wasNew) expect(left).toEqual(bytes)
      await write(below, '/usb/a.hwb')
      expect(await below.list('/usb')).toEqual(['a.hwb'])
    }
  })
})

describe('a backup is read', () => {
  const file = () => join(temporaryDirectory(), 'a')

  it('decompressed where it is compressed, whatever its name', async () => {
    const path = file()
    writeFileSync(path, gzipSync(bytes))
    let fileBytes = 0
    await collect(
      readBackupFile(path, (size) => {
        fileBytes += size
      }),
    )
    expect(fileBytes).toBe(readFileSync(path).length)
    expect(await readAll(path)).toEqual(bytes)
  })

  it('and told from a whole one when its compressed file was cut short or changed', async () => {
    const path = file()
    const zipped = gzipSync(bytes)
    for (const length of [3, 100, zipped.length - 1]) {
      writeFileSync(path, zipped.subarray(0, length))
      await expect(readAll(path).then(check), `cut to ${length}`).rejects.toThrow(/a: it was cut short/)
    }
    const changed = Buffer.from(zipped)
    changed[changed.length - 6]! ^= 1
    writeFileSync(path, changed)
    await expect(readAll(path)).rejects.toThrow(/a: it cannot be decompressed: incorrect data check/)
  })

  it('or refused in one line where it cannot be', async () => {
    const directory = temporaryDirectory()
    mkdirSync(join(directory, 'd'))
    for (const [name, reason] of [
      ['none', 'there is no such file or directory'],
      ['d', 'it is a directory'],
    ]) {
      await expect(readAll(join(directory, name!))).rejects.toThrow(reason)
    }
    const refused = await openBackupSink(nodeDisk, join(directory, 'none', 'a'), false, nowhere).catch(
      (error) => error,
    )
    expect(refused.line).toMatch(/^HW_BACKUP_FILE: .*there is no such file or directory - check the path$/)
    for (const [path, reason] of [
      [join(directory, 'd'), 'it is a directory'],
      ['/dev/null', 'it is no regular file'],
    ]) {
      await expect(openBackupSink(nodeDisk, path!, false, nowhere)).rejects.toThrow(reason)
    }
    expect(existsSync(join(directory, 'none'))).toBe(false)
  })
})
