import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Secrets } from '../../sync/secrets.ts'

describe('secrets', () => {
  let directory: string
  let warnings: string[]
  let secrets: Secrets
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'headwater-secrets-'))
    warnings = []
    const warn = (line: string) => warnings.push(line)
    secrets = new Secrets({ GIVEN: 'from env', EMPTY: '' }, { info: warn, warn, error: warn }, 'upstream a')
  })
  afterEach(() => rm(directory, { recursive: true }))

  const text = (place: { file?: string; variable?: string; value?: string }) =>
    secrets.text({ field: 'sasl.password', ...place }).catch((error) => error.line as string)
  const file = async (content: string, mode = 0o600) => {
    const path = join(directory, 'secret')
    await writeFile(path, content)
    await chmod(path, mode)
    return path
  }

  it('come from a value, the environment, or a file without the end of its line', async () => {
    expect(await text({ value: 'v' })).toBe('v')
    expect(await text({ variable: 'GIVEN' })).toBe('from env')
    expect(await text({ file: await file(' with spaces \r\n') })).toBe(' with spaces ')
    expect(await text({ file: await file('changed') })).toBe('changed')
    expect(warnings).toEqual([])
  })

  it('that are not there are told by their field', async () => {
    expect(await text({ variable: 'EMPTY' })).toMatch(
      /^HW_UPSTREAM_SECRET: sasl\.passwordEnv EMPTY: the environment has no/,
    )
    expect(await text({ file: join(directory, 'none') })).toMatch(
      /sasl\.passwordFile \S+none: there is no such file/,
    )
    expect(await text({ file: directory })).toMatch(/it cannot be read \(EISDIR\)/)
    expect(await text({ file: await file('\n') })).toMatch(/the file is empty/)
    expect(await text({ file: await file('one\ntwo\n') })).toMatch(/more than one line/)
    expect(await text({ file: await file('x'.repeat(2 ** 20 + 1)) })).toMatch(/it has 1048577 bytes/)
  })

  it('that others can read are told once, and again after they were mended and opened again', async () => {
    for (const mode of [0o640, 0o604, 0o600, 0o660, 0o660]) await text({ file: await file('x', mode) })
    const path = join(directory, 'secret')
    const line = (mode: string) =>
      `upstream a: sasl.passwordFile ${path} is open to other users (mode ${mode}) - chmod 600 ${path}`
    expect(warnings).toEqual([line('640'), line('660')])
    await chmod(path, 0o644)
    await secrets.bytes('tls.caFile', path, false)
    expect(warnings).toHaveLength(2)
  })
})
