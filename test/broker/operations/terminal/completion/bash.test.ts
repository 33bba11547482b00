/** Bash itself completes names of files: a name with a space was two, one with a star was every file. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { completionScript } from '../../../../../broker/operations/terminal/completion/scripts.ts'

const directory = mkdtempSync(join(tmpdir(), 'headwater-bash-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))
for (const name of ['a b.yaml', '*.yaml', '$(touch made).yaml']) writeFileSync(join(directory, name), '')
mkdirSync(join(directory, 'c d'))
const hasBash = spawnSync('bash', ['--version']).status === 0

/** @param kind what the program answers */
function completed(kind: string): string[] {
  const script = `${completionScript('bash', 'headwater')}
headwater() { printf '%s\\n' '${kind}'; }
COMP_LINE='headwater check ' COMP_POINT=16
_headwater headwater '' check
printf '%s\\n' "\${COMPREPLY[@]}"`
  const { stdout } = spawnSync('bash', ['-c', script], { cwd: directory, encoding: 'utf8' })
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .toSorted()
}

test.skipIf(!hasBash)('names of files and directories are whole, and nothing in them runs', () => {
  expect(completed(':directories')).toEqual(['c d'])
  expect(completed(':files')).toEqual(['$(touch made).yaml', '*.yaml', 'a b.yaml', 'c d'])
})
