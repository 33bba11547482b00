/**
 * Files as people break them, each with what the command line prints for it: broken/NAME.yaml, broken/NAME.txt; broken-bridge/ has the bridge's. A first line
 * "# environment: NAME=VALUE ..." sets variables. After a change that is meant: `npx vitest run test/broker/config/broken-folder.test.ts -u`,
 * and read what git shows.
 */
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { validate } from 'node-cron'
import { describe, expect, test } from 'vitest'
import { loadConfig } from '../../../broker/config/load.ts'
import type { Loaded, RefusedConfig } from '../../../broker/config/load-file.ts'
import { errorLine } from '../../../broker/errors.ts'
import { loadBridgeConfig } from '../../../firmware-bridge/config/load.ts'
import { DownlinkSchema, UpstreamSchema } from '../../../sync/config.ts'
import { downlinkFaults, upstreamFaults } from '../../../sync/index.ts'

const HERE = fileURLToPath(new URL('.', import.meta.url)).replace(/\/$/, '')

/** As `# environment:` gives it; a backslash keeps the space after it. */
function environmentOf(text: string): NodeJS.ProcessEnv {
  const [, given = ''] = /^# environment: (.*)$/m.exec(text) ?? []
  const pairs = [...given.matchAll(/(\w+)=((?:\\ |\S)*)/g)]
  return Object.fromEntries(pairs.map(([, name, value]) => [name!, value!.replaceAll('\\ ', ' ')]))
}

const programs: Record<string, (file: string, env: NodeJS.ProcessEnv) => Loaded<unknown> | RefusedConfig> = {
  broken: (file, env) =>
    loadConfig({
      file,
      env,
      upstreams: { schema: UpstreamSchema, faults: (entry) => upstreamFaults(entry as never, validate) },
      downlinks: {
        schema: DownlinkSchema,
        faults: (entry, { upstreams }) => downlinkFaults(entry as never, upstreams),
      },
    }),
  'broken-bridge': (file, env) => loadBridgeConfig({ file, env }),
}

function printed(folder: string, name: string): string {
  const file = join(HERE, folder, name)
  const env =
    existsSync(file) && !statSync(file).isDirectory() ? environmentOf(readFileSync(file, 'latin1')) : {}
  const loaded = (programs[folder] ?? programs.broken!)(file, env)
  const lines = loaded.ok ? loaded.warnings.map((line) => `warning: ${line}`) : loaded.problems.map(errorLine)
  return `${lines.map((line) => line.replaceAll(`${join(HERE, folder)}/`, '')).join('\n')}\n`
}

describe.each([
  ['broken', 40],
  ['broken-bridge', 8],
])('%s', (folder, least) => {
  const directory = join(HERE, folder)
  const names = readdirSync(directory).filter((name) => name.endsWith('.yaml'))

  test('has many, and an expectation for each', () => {
    expect(names.length).toBeGreaterThanOrEqual(least)
    const expected = readdirSync(directory).filter((name) => name.endsWith('.txt'))
    expect(expected.map((name) => name.replace('.txt', '.yaml'))).toEqual(names)
  })

  test.each(names)('%s', async (name) => {
    const text = printed(folder, name)
    await expect(text).toMatchFileSnapshot(join(directory, name.replace('.yaml', '.txt')))
    for (const line of text.trimEnd().split('\n')) {
      // what is wrong, and the way out
      expect(line).toMatch(/^(HW_CONFIG|warning): \S.+ - .+$/)
      expect(line.length, line).toBeLessThan(330)
    }
    expect(text).not.toMatch(/hunter2|pass-word|undefined|\[object/)
  })
})

test('a file that is not there, a directory and a file that is too large', () => {
  expect(printed('broken', 'nothing')).toBe(
    'HW_CONFIG: nothing: there is no such file - write one with `headwater init nothing`\n',
  )
  expect(printed('.', 'broken')).toMatch(/^HW_CONFIG: .*broken: this is a directory - name the file in it\n$/)
  const directory = mkdtempSync(join(tmpdir(), 'headwater-broken-'))
  try {
    const file = join(directory, 'large.yaml')
    writeFileSync(file, `edge: ${'x'.repeat(1_048_576)}\n`)
    const loaded = loadConfig({ file, env: {} })
    expect(loaded.ok ? [] : loaded.problems.map(({ line }) => line.replace(`${directory}/`, ''))).toEqual([
      'HW_CONFIG: large.yaml: the file has 1048583 bytes, a configuration has at most 1048576 - name the configuration file',
    ])
    // root reads whatever it likes
    if (process.getuid?.() !== 0) {
      chmodSync(file, 0)
      const closed = loadConfig({ file, env: {} })
      expect(closed.ok ? '' : closed.problems[0]!.line).toContain(
        'no permission to read it - run as its owner',
      )
    }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
})

test('an empty file, and one with comments alone, are the defaults', () => {
  const directory = mkdtempSync(join(tmpdir(), 'headwater-broken-'))
  try {
    for (const text of ['', '# nothing yet\n', '---\n', '\ufeff']) {
      const file = join(directory, 'empty.yaml')
      writeFileSync(file, text)
      expect(loadConfig({ file, env: {} })).toMatchObject({
        ok: true,
        warnings: [],
        config: { edge: 'auto' },
      })
    }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
})
