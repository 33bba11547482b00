/** The table of a run, from what it said. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const SCRIPT = fileURLToPath(new URL('./table.sh', import.meta.url))
const LOG = `
Debian GNU/Linux 13 (trixie), arm64
-- install
Setting up headwater
   7s  ok    the package installs
   9s        from the installation to ready: 9 s
  10s  ok    it runs as its own user
-- publish
  14s  ok    200 messages
passed: 3 facts
cut 1: a client is let in 40 s after power on
1 cuts, 77 acknowledged: all there
Debian GNU/Linux 13 (trixie), arm64
-- kill
  12s  ok    it is restarted
passed: 1 facts
`

describe('the table', () => {
  let directory: string
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'headwater-table-'))
  })
  afterAll(() => rmSync(directory, { recursive: true, force: true }))

  it('has a line for each step, with its facts and what it took', () => {
    writeFileSync(join(directory, 'log'), LOG)
    const table = execFileSync('bash', ['-c', '. "$0"; table arm64 "$1"', SCRIPT, join(directory, 'log')], {
      encoding: 'utf8',
    })
    expect(table.trim().split('\n').slice(2)).toEqual([
      '| arm64 | install | 2 | 10 s |',
      '| arm64 | publish | 1 | 4 s |',
      '| arm64 | power cut | 1 cuts, 77 acknowledged: all there | |',
      '| arm64 | kill | 1 | 12 s |',
      '| arm64 | all | 4 | |',
    ])
  })
})
