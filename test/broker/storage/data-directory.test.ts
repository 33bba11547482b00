import { fork } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { DataDirectoryError, DataDirectoryLockedError } from '../../../broker/errors.ts'
import {
  DATA_FORMAT,
  type DataDirectory,
  isDataDirectory,
  openDataDirectory,
} from '../../../broker/storage/data-directory.ts'
import { nodeDisk } from '../../../broker/storage/node-disk.ts'
import { FaultyDisk } from '../../support/faulty-disk.ts'
import { MemoryDisk } from '../../support/memory-disk.ts'

let root: string
let open: DataDirectory[]
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'headwater-data-'))
  open = []
})
afterEach(async () => {
  await Promise.all(open.map(({ facts }) => facts.close()))
  rmSync(root, { recursive: true, force: true })
})

async function openAt(
  path: string,
  name = 'edge-1',
  isExplicit = true,
  disk = nodeDisk,
): Promise<DataDirectory> {
  const data = await openDataDirectory(disk, path, { name, isExplicit })
  open.push(data)
  return data
}

/** Every file below with its bytes and the time of its last change. */
function snapshot(path: string): unknown[] {
  return readdirSync(path, { recursive: true, withFileTypes: true }).map((entry) => {
    const file = join(entry.parentPath, entry.name)
    return [file, statSync(file).mtimeMs, entry.isFile() ? readFileSync(file, 'latin1') : null]
  })
}

async function expectRefusal(path: string, reason: RegExp, name = 'edge-1'): Promise<void> {
  const before = existsSync(path) ? snapshot(path) : null
  const refused = openAt(path, name)
  await expect(refused).rejects.toThrow(reason)
  await expect(refused).rejects.toBeInstanceOf(DataDirectoryError)
  if (before !== null) expect(snapshot(path)).toEqual(before)
}

describe('a data directory', () => {
  it('is made with an identity of its own, which stays', async () => {
    const path = join(root, 'a', 'b')
    expect(await isDataDirectory(nodeDisk, path)).toBe(false)
    const { identity, facts } = await openAt(path)
    expect(identity).toMatchObject({ format: DATA_FORMAT, edge: 'edge-1' })
    expect(identity.incarnation).toMatch(/^[0-9a-f-]{36}$/)
    await facts.close()
    expect(await isDataDirectory(nodeDisk, path)).toBe(true)
    const again = await openAt(path, 'from the host name', false)
    expect(again.identity).toEqual(identity)
    expect((await openAt(join(root, 'c'))).identity.incarnation).not.toBe(identity.incarnation)
  })

  it('that another process uses is refused with DataDirectoryLockedError, and again free when that one is killed', async () => {
    const path = join(root, 'data')
    await (await openAt(path)).facts.close()
    // LevelDB's lock is the facts store's: any process that holds it is a broker as far as the lock goes
    const child = fork(
      '--eval',
      [
        `const { ClassicLevel } = require('classic-level')
         const db = new ClassicLevel(process.argv[1])
         db.open().then(() => process.send('open'), () => process.exit(1))
         setInterval(() => {}, 1000)`,
        join(path, 'facts'),
      ],
      { cwd: process.cwd(), execArgv: [] },
    )
    await new Promise((resolve) => child.once('message', resolve))
    await expect(openAt(path)).rejects.toBeInstanceOf(DataDirectoryLockedError)
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await gone
    await openAt(path)
  })

  it('that this process has open already is refused', async () => {
    const path = join(root, 'data')
    await openAt(path)
    await expect(openAt(path)).rejects.toBeInstanceOf(DataDirectoryLockedError)
  })

  it('of another program is refused by the names found, and nothing in it is changed', async () => {
    writeFileSync(join(root, 'thesis.tex'), 'x')
    mkdirSync(join(root, 'photos'))
    await expectRefusal(root, /another program \((photos, thesis\.tex|thesis\.tex, photos)\)/)
    expect(readdirSync(root).toSorted()).toEqual(['photos', 'thesis.tex'])
  })

  it('may hold what a mount point and an archive beside the log bring along', async () => {
    mkdirSync(join(root, 'lost+found'))
    mkdirSync(join(root, 'upstream'))
    writeFileSync(join(root, '.hidden'), '')
    await openAt(root)
  })

  it('of another format is refused, and nothing in it is changed', async () => {
    const path = join(root, 'data')
    const { identity, facts } = await openAt(path)
    await facts.close()
    writeFileSync(join(path, 'headwater.json'), JSON.stringify({ ...identity, format: DATA_FORMAT + 1 }))
    await expectRefusal(path, /format 2, this Headwater reads 1/)
  })

  it('of another edge is refused, and nothing in it is changed', async () => {
    const path = join(root, 'data')
    await (await openAt(path, 'edge-1')).facts.close()
    await expectRefusal(path, /belongs to the edge "edge-1", the configuration says "edge-2"/, 'edge-2')
  })

  it('on a path that is a file, or goes through one, is refused', async () => {
    writeFileSync(join(root, 'file'), '')
    await expectRefusal(join(root, 'file', 'below'), /a part of the path is a file/)
    await expect(openAt(join(root, 'file'))).rejects.toThrow(/a part of the path is a file/)
  })

  it.skipIf(process.getuid?.() === 0)('that may not be written is refused with the reason', async () => {
    chmodSync(root, 0o500)
    await expectRefusal(root, /permission denied/)
    await expectRefusal(join(root, 'new'), /permission denied/)
    chmodSync(root, 0o700)
  })

  it('on a full disk is refused with the reason, and opens once there is space', async () => {
    const disk = new FaultyDisk(nodeDisk)
    for (const on of ['make-directory', 'replace', 'rename'] as const) {
      disk.fail({ on, code: 'ENOSPC' })
      const path = join(root, on)
      await expect(openAt(path, 'edge-1', true, disk)).rejects.toThrow(/no space is left/)
      await openAt(path, 'edge-1', true, disk)
    }
  })

  it('whose first start was cut short before its identity is made anew', async () => {
    const path = join(root, 'data')
    const disk = new FaultyDisk(nodeDisk)
    disk.fail({ on: 'rename' })
    await expect(openAt(path, 'edge-1', true, disk)).rejects.toThrow()
    expect(readdirSync(path)).toContain('facts')
    expect((await openAt(path)).identity.edge).toBe('edge-1')
  })
})

describe('an identity', () => {
  it('that a start found, and others may have heard of, survives a power cut', async () => {
    const memory = new MemoryDisk()
    const disk = new FaultyDisk(memory)
    // the process ends after the rename of headwater.json and before the fsync of the directory
    const gate = disk.hold('sync-directory', 'headwater.json')
    void openDataDirectory(disk, root, { name: 'edge-1', isExplicit: true })
    await gate.reached
    memory.endProcess()
    const { identity } = await openDataDirectory(memory, root, { name: 'edge-1', isExplicit: true })
    memory.crash()
    const again = await openDataDirectory(memory, root, { name: 'edge-1', isExplicit: true })
    expect(again.identity).toEqual(identity)
  })
})

describe('facts', () => {
  it('are there after the store was closed and opened, the last value of each', async () => {
    const path = join(root, 'data')
    const { facts } = await openAt(path)
    expect(await facts.get('none')).toBeUndefined()
    await facts.put('a', Buffer.from('1'))
    await facts.put('a', Buffer.from('2'))
    await facts.close()
    const again = await openAt(path)
    expect((await again.facts.get('a'))?.toString()).toBe('2')
  })

  it('are synced before a put resolves', async () => {
    const disk = new FaultyDisk(nodeDisk)
    const { facts } = await openAt(join(root, 'data'), 'edge-1', true, disk)
    const gate = disk.hold('sync', 'facts')
    let isDone = false
    const put = facts.put('a', Buffer.from('1')).then(() => {
      isDone = true
    })
    await gate.reached
    expect(isDone).toBe(false)
    gate.release()
    await put
    disk.fail({ on: 'sync', path: 'facts' })
    await expect(facts.put('a', Buffer.from('2'))).rejects.toThrow('EIO')
  })
})
