/** The schema beside a configuration is written over by every `init`: what a link leads to is not. */
import { lstatSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { writeGenerated } from '../../../../broker/operations/commands/init.ts'

const directory = mkdtempSync(join(tmpdir(), 'headwater-init-'))
afterEach(() => rmSync(directory, { recursive: true, force: true }))

test('a link that somebody put there is refused, and what it leads to keeps its content and its mode', async () => {
  const target = join(directory, 'secret')
  const file = join(directory, 'headwater.schema.json')
  writeFileSync(target, 'secret', { mode: 0o600 })
  symlinkSync(target, file)
  await expect(writeGenerated(file, '{}')).rejects.toMatchObject({
    message: `${file} is a symbolic link`,
    hint: 'name the file that it leads to, or remove it',
  })
  expect([readFileSync(target, 'utf8'), statSync(target).mode & 0o777]).toEqual(['secret', 0o600])
  rmSync(file)
  await writeGenerated(file, '{"a":1}')
  await writeGenerated(file, '{}')
  expect([readFileSync(file, 'utf8'), lstatSync(file).mode & 0o777]).toEqual(['{}', 0o644])
})
