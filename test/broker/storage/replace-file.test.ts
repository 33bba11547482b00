/** A file that could not be replaced: what was written beside it stayed, on a disk that was full because of it. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { nodeDisk } from '../../../broker/storage/node-disk.ts'

it('leaves nothing beside it', async () => {
  const root = mkdtempSync(join(tmpdir(), 'headwater-replace-'))
  try {
    // nothing can take the place of a directory that holds something
    mkdirSync(join(root, 'taken'))
    writeFileSync(join(root, 'taken', 'file'), '')
    await expect(nodeDisk.replaceFile(join(root, 'taken'), Buffer.from('text'))).rejects.toMatchObject({
      syscall: 'rename',
    })
    expect(readdirSync(root)).toEqual(['taken'])
  } finally {
    rmSync(root, { recursive: true })
  }
})
