/** Archives, whole and edited by hand, read back for the verification. */
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import type { StoredBatch } from '../../../broker/index.ts'
import { ArchiveUpstream } from '../../../sync/archive/archive-upstream.ts'
import { ArchiveAudit } from '../../../sync/archive/audit.ts'
import { nodeArchiveFiles } from '../../../sync/archive/files.ts'
import { encodeEntryHead, encodeFileHead, fileName } from '../../../sync/archive/format.ts'
import { readManifest, writeManifest } from '../../../sync/archive/manifest.ts'
import { readArchive } from '../../../sync/archive/reader.ts'
import { verify } from '../audit/audited-log.ts'
import { MemoryLog, testIdentity } from '../memory-log.ts'
import { roundFrom } from '../upstream-harness.ts'

const directories: string[] = []
afterEach(async () => {
  for (const directory of directories.splice(0)) await rm(directory, { recursive: true, force: true })
})

/** A log, and an archive that has all of it, a file for each of three rounds. */
async function archived(): Promise<{ log: MemoryLog; directory: string; audit: ArchiveAudit }> {
  const directory = await mkdtemp(join(tmpdir(), 'headwater-audit-'))
  directories.push(directory)
  const upstream = new ArchiveUpstream(
    { name: 'archive', directory, fileBytesMax: 1 },
    { randomUuid: () => 'made-for-a-test' },
  )
  const log = new MemoryLog().addStream('events', 2)
  const positions = new Map<string, number>()
  await upstream.recover(log.identity, log.partitions())
  for (let round = 0; round < 3; round++) {
    for (const partition of [0, 1]) log.appendMany('events', partition, 40, 8)
    for (const [key, next] of await upstream.send(roundFrom(log, positions))) positions.set(key, next)
  }
  await upstream.close()
  return { log, directory, audit: new ArchiveAudit({ name: 'archive', directory }) }
}

/** Writes the archive anew in one file, with each batch as `edit` says. */
async function edit(directory: string, change: (batch: StoredBatch) => Buffer[]): Promise<void> {
  const manifest = (await readManifest(nodeArchiveFiles, directory))!
  const pieces: Buffer[] = [encodeFileHead(manifest)]
  for await (const batch of readArchive(directory)) {
    for (const bytes of change(batch))
      pieces.push(encodeEntryHead(batch.stream, batch.partition, bytes), bytes)
  }
  for (const name of await readdir(directory)) if (name.endsWith('.hwa')) await rm(join(directory, name))
  await writeFile(join(directory, fileName(1)), Buffer.concat(pieces))
  const { size } = await stat(join(directory, fileName(1)))
  await writeManifest(nodeArchiveFiles, directory, { ...manifest, file: 1, fileBytes: size })
}

const isAt = (batch: StoredBatch, partition: number, offset: number) =>
  batch.partition === partition && batch.baseOffset === offset

it('is whole where the archive has what the log has', async () => {
  const { log, audit } = await archived()
  const report = await verify(log, audit)
  expect(report).toMatchObject({ isWhole: true, strangers: { otherLogs: 0 } })
  expect(report.partitions.map(({ compared }) => compared)).toEqual([120, 120])
})

it('finds what was taken out of an archive, written into it twice, and altered', async () => {
  const { log, directory, audit } = await archived()
  const other = new MemoryLog().addStream('events', 2)
  other.appendMany('events', 0, 64, 8)
  const altered = other.append('events', 0, [{ value: 'altered' }])
  await edit(directory, (batch) => {
    if (isAt(batch, 0, 16)) return []
    if (isAt(batch, 1, 32)) return [batch.bytes, batch.bytes]
    if (isAt(batch, 0, 64)) return [altered.bytes]
    return [batch.bytes]
  })
  const report = await verify(log, audit)
  expect(report.isWhole).toBe(false)
  expect(report.partitions[0]).toMatchObject({
    missing: {
      ranges: [
        { from: 16, to: 24 },
        { from: 65, to: 72 },
      ],
    },
    different: { ranges: [{ from: 64, to: 65 }] },
    duplicated: { records: 0 },
  })
  expect(report.partitions[1]).toMatchObject({
    compared: 120,
    missing: { records: 0 },
    duplicated: { ranges: [{ from: 32, to: 40 }] },
  })
})

it('does not blame an archive for files that were carried away', async () => {
  const { log, directory, audit } = await archived()
  await rm(join(directory, fileName(1)))
  const report = await verify(log, audit)
  expect(report.isWhole).toBe(true)
  expect(report.partitions[0]).toMatchObject({
    compared: 80,
    notCompared: { excused: 40 },
    reasons: ['batch file 1 was carried away'],
  })
  await rm(join(directory, fileName(2)))
  await rm(join(directory, fileName(3)))
  expect((await verify(log, audit)).partitions[1]).toMatchObject({
    compared: 0,
    missing: { records: 0 },
    notCompared: { excused: 120 },
    reasons: ['batch files 1 to 3 were carried away'],
  })
})

it('does not take the archive of another log for this one', async () => {
  const { directory, audit } = await archived()
  const other = new MemoryLog(testIdentity('edge-a', '22222222-1111-4111-8111-111111111111')).addStream(
    'events',
    2,
  )
  other.appendMany('events', 0, 40, 8)
  const report = await verify(other, audit)
  expect(report).toMatchObject({ isWhole: false, strangers: { otherLogs: 240 } })
  expect(report.partitions[0]).toMatchObject({ missing: { records: 40 } })
  expect(await readdir(directory)).toHaveLength(4)
})
