import { randomUUID } from 'node:crypto'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { readRecords } from '../../../broker/index.ts'
import { ArchiveUpstream } from '../../../sync/archive/archive-upstream.ts'
import { type ArchiveFiles, nodeArchiveFiles } from '../../../sync/archive/files.ts'
import { readArchive } from '../../../sync/archive/reader.ts'
import { MemoryLog } from '../memory-log.ts'
import { describeUpstream } from '../upstream-contract.ts'
import { type ReadBack, readBackOf, roundFrom, type UpstreamPlace } from '../upstream-harness.ts'

const FILE_BYTES_MAX = 2000

function open(directory: string, files?: ArchiveFiles): ArchiveUpstream {
  return new ArchiveUpstream(
    { name: 'archive', directory, fileBytesMax: FILE_BYTES_MAX },
    { randomUuid: randomUUID, ...(files === undefined ? {} : { files }) },
  )
}

const directories: string[] = []
afterAll(() => Promise.all(directories.map((directory) => rm(directory, { recursive: true, force: true }))))

async function newDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'headwater-archive-'))
  directories.push(directory)
  return directory
}

/** Lets `steps` calls that change something through; the one after is cut short, and all later ones never happen. */
function mortalFiles(): { files: ArchiveFiles; arm(steps: number): void; died(): boolean } {
  let left = Number.POSITIVE_INFINITY
  let dead = false
  const step = async (work: () => Promise<void>, torn?: () => Promise<void>): Promise<void> => {
    if (left-- <= 0) {
      if (!dead) await torn?.()
      dead = true
      throw new Error('the process died here')
    }
    await work()
  }
  const under = nodeArchiveFiles
  const files: ArchiveFiles = {
    ...under,
    makeDirectory: (path) => step(() => under.makeDirectory(path)),
    writeSynced: (path, bytes, position) =>
      step(
        () => under.writeSynced(path, bytes, position),
        () => under.writeSynced(path, bytes.subarray(0, bytes.length >> 1), position),
      ),
    truncate: (path, bytes) => step(() => under.truncate(path, bytes)),
    rename: (from, to) => step(() => under.rename(from, to)),
    remove: (path) => step(() => under.remove(path)),
    syncDirectory: (path) => step(() => under.syncDirectory(path)),
  }
  return {
    files,
    arm: (steps) => {
      left = steps
    },
    died: () => dead,
  }
}

async function readBack(directory: string): Promise<ReadBack[]> {
  const out: ReadBack[] = []
  for await (const { stream, partition, bytes } of readArchive(directory)) {
    for (const record of readRecords(bytes)) {
      out.push(readBackOf(stream, partition, record))
    }
  }
  return out
}

describeUpstream({
  kind: 'archive',
  async place(): Promise<UpstreamPlace> {
    const directory = await newDirectory()
    return {
      open: () => open(directory),
      openMortal: () => {
        const { files, arm, died } = mortalFiles()
        return { upstream: open(directory, files), arm, died }
      },
      async read(streams) {
        const all = await readBack(directory)
        return [...streams].flatMap(([stream, partitions]) =>
          Array.from({ length: partitions }, (_, p) =>
            all.filter((record) => record.stream === stream && record.partition === p),
          ).flat(),
        )
      },
      dispose: () => rm(directory, { recursive: true }),
    }
  },
})

describe('an archive', () => {
  const filled = async () => {
    const directory = await newDirectory()
    const log = new MemoryLog().addStream('events', 1)
    const upstream = open(directory)
    await upstream.recover(log.identity, log.partitions())
    let position = 0
    for (let i = 0; i < 10; i++) {
      log.appendMany('events', 0, 20)
      await upstream.send(roundFrom(log, new Map([['events/0', position]])))
      position = 20 * (i + 1)
    }
    return { directory, log, upstream, recover: () => upstream.recover(log.identity, log.partitions()) }
  }

  it('begins a new file at a size, and its manifest does not grow with the files', async () => {
    const { directory } = await filled()
    const names = (await readdir(directory)).sort()
    expect(names.filter((name) => name.endsWith('.hwa')).length).toBeGreaterThan(2)
    expect(names.at(-1)).toBe('manifest.json')
    expect((await stat(join(directory, 'manifest.json'))).size).toBeLessThan(250)
    expect(await readBack(directory)).toHaveLength(200)
  })

  it('is read without its manifest, as closed files that were carried away are, up to a torn end', async () => {
    const { directory } = await filled()
    await rm(join(directory, 'manifest.json'))
    expect(await readBack(directory)).toHaveLength(200)
    const last = (await readdir(directory)).sort().at(-1)!
    await truncate(join(directory, last), (await stat(join(directory, last))).size - 1)
    const records = await readBack(directory)
    expect(records.length).toBeGreaterThan(150)
    expect(records.length).toBeLessThan(200)
  })

  it('goes on with a new file when its files were carried away', async () => {
    const { directory, log, upstream, recover } = await filled()
    for (const name of await readdir(directory)) {
      if (name.endsWith('.hwa')) await rm(join(directory, name))
    }
    const { partitions } = await recover()
    expect(partitions.get('events/0')!.next).toBe(200)
    log.appendMany('events', 0, 5)
    await upstream.send(roundFrom(log, new Map([['events/0', 200]])))
    expect((await readBack(directory)).map((r) => r.value)).toEqual(
      [200, 201, 202, 203, 204].map((offset) => `events/0/${offset}`),
    )
  })

  it('stops when bytes that it counted are gone or its manifest is not one', async () => {
    const { directory, recover } = await filled()
    const last = (await readdir(directory))
      .filter((name) => name.endsWith('.hwa'))
      .sort()
      .at(-1)!
    const kept = await readFile(join(directory, last))
    await truncate(join(directory, last), kept.length - 1)
    await expect(recover()).rejects.toMatchObject({ code: 'HW_ARCHIVE_DAMAGED', retryable: false })
    await writeFile(join(directory, last), kept)
    await recover()
    await writeFile(join(directory, 'manifest.json'), '{"format":1')
    await expect(recover()).rejects.toMatchObject({ code: 'HW_ARCHIVE_DAMAGED', retryable: false })
    await rm(join(directory, 'manifest.json'))
    await expect(recover()).rejects.toMatchObject({ code: 'HW_ARCHIVE_DAMAGED', retryable: false })
  })

  it('names the file and the byte of any damage when it is read', async () => {
    const { directory } = await filled()
    const first = join(directory, (await readdir(directory)).sort()[0]!)
    const whole = await readFile(first)
    for (let at = 0; at < whole.length; at += 13) {
      const damaged = Buffer.from(whole)
      damaged[at]! ^= 0x40
      await writeFile(first, damaged)
      const error = await readBack(directory).catch((thrown) => thrown)
      // The description at the front is for people; its text is not checked.
      if (at >= 12 && at < 12 + whole.readUInt32BE(8)) continue
      expect(error, `byte ${at}`).toMatchObject({ code: 'HW_ARCHIVE_DAMAGED' })
      expect(error.message).toContain('batches-0000000001.hwa')
    }
  })

  it('says clearly that the disk is full, and goes on when it is not', async () => {
    const { directory, log } = await filled()
    let full = true
    const upstream = open(directory, {
      ...nodeArchiveFiles,
      async writeSynced(path, bytes, position) {
        if (full && path.endsWith('.hwa')) {
          await nodeArchiveFiles.writeSynced(path, bytes.subarray(0, 10), position)
          throw Object.assign(new Error('write'), { code: 'ENOSPC' })
        }
        await nodeArchiveFiles.writeSynced(path, bytes, position)
      },
    })
    await upstream.recover(log.identity, log.partitions())
    log.appendMany('events', 0, 5)
    const round = roundFrom(log, new Map([['events/0', 200]]))
    await expect(upstream.send(round)).rejects.toMatchObject({
      code: 'HW_ARCHIVE_UNWRITABLE',
      retryable: true,
      message: expect.stringContaining('the disk is full'),
    })
    full = false
    await upstream.recover(log.identity, log.partitions())
    await upstream.send(round)
    expect(await readBack(directory)).toHaveLength(205)
  })

  it('refuses the directory of another edge, and a place that is not a directory', async () => {
    const { directory } = await filled()
    const other = new MemoryLog({ edge: 'edge-b', incarnation: '11111111-1111-4111-8111-111111111111' })
    await expect(open(directory).recover(other.identity, [])).rejects.toMatchObject({
      code: 'HW_CHECKPOINT_MISMATCH',
    })
    await writeFile(join(directory, 'file'), '')
    await expect(open(join(directory, 'file')).recover(other.identity, [])).rejects.toMatchObject({
      code: 'HW_ARCHIVE_UNWRITABLE',
      message: expect.stringContaining('not a directory'),
    })
  })

  it.skipIf(process.getuid?.() === 0)('says clearly that writing is not permitted', async () => {
    const directory = await newDirectory()
    await chmod(directory, 0o500)
    const log = new MemoryLog()
    await expect(open(directory).recover(log.identity, [])).rejects.toMatchObject({
      code: 'HW_ARCHIVE_UNWRITABLE',
      retryable: true,
      message: expect.stringContaining('not permitted'),
    })
    await mkdir(join(directory, 'x')).catch(() => {})
    await chmod(directory, 0o700)
  })
})
