/** Help, manual page and docs/commands.md are made from the program: here what they hold is compared with it. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Command } from 'commander'
import { expect, test } from 'vitest'
import { type Actions, buildProgram } from '../../../../../broker/operations/commands/program.ts'
import { PROGRAM_FACTS } from '../../../../../broker/operations/commands/program-facts.ts'
import { commandsOf } from '../../../../../broker/operations/terminal/manual/description.ts'
import { manualMarkdown } from '../../../../../broker/operations/terminal/manual/markdown.ts'
import { manualPage } from '../../../../../broker/operations/terminal/manual/roff.ts'
import {
  BRIDGE_FACTS,
  type BridgeActions,
  buildBridgeProgram,
} from '../../../../../firmware-bridge/commands/program.ts'

const program = buildProgram('1.2.3', {} as Actions, () => {})
const bridge = buildBridgeProgram('1.2.3', {} as BridgeActions, () => {})
const HEAD = { version: '1.2.3', date: '', seeAlso: ['other'] }
const pages = [
  ['headwater', manualPage(program, PROGRAM_FACTS, HEAD), program],
  ['headwater-bridge', manualPage(bridge, BRIDGE_FACTS, HEAD), bridge],
] as const

/** Every command at the end of its words. */
function leaves(command: Command): Command[] {
  return command.commands.flatMap((inner) => [inner, ...leaves(inner)])
}

const has = (tool: string, ...args: string[]) => spawnSync(tool, args, { stdio: 'ignore' }).status === 0
const hasGroff = has('groff', '--version')
if (!hasGroff) process.stderr.write('!!! manual pages are not formatted: groff is not installed\n')

test.runIf(hasGroff).each(pages)('%s(1) formats without a warning', (_, page) => {
  const { stderr, stdout } = spawnSync('groff', ['-man', '-Tascii', '-P-cbou', '-ww'], {
    input: page,
    encoding: 'utf8',
  })
  expect(stderr).toBe('')
  expect(stdout).toContain('EXIT STATUS')
})

test.runIf(hasGroff)('what is typed comes out of the page as it is typed', () => {
  const text = execFileSync('groff', ['-man', '-Tascii', '-P-cbou'], { input: pages[0][1], encoding: 'utf8' })
  expect(text).toContain('headwater read events --from 2026-03-01T12:00:00Z --count 10')
  expect(text).toContain("headwater log dump --json | jq 'select(.fault != null)'")
  expect(text).toContain('source <(headwater completion bash)')
})

test.each(pages)('%s(1) has every command with its options and an example', (_, page, of) => {
  const known = commandsOf(of)
  const described = leaves(of).filter((command) => command.commands.length === 0)
  expect(described.length).toBeGreaterThan(5)
  for (const command of described) {
    const found = known.find(
      ({ usage }) => usage.includes(` ${command.name()} `) || usage.endsWith(` ${command.name()}`),
    )
    expect(found, command.name()).toBeDefined()
    expect(found!.examples.length, `${command.name()} has an example`).toBeGreaterThan(0)
    for (const { long } of command.options) {
      expect(page, `${command.name()} ${long}`).toContain(long!.replaceAll('-', '\\-'))
    }
  }
})

test('a line that begins with a dot or an apostrophe is text, not a request', () => {
  const facts = { ...PROGRAM_FACTS, examples: ['.hidden', "'quoted'"] }
  const page = manualPage(program, facts, HEAD)
  expect(page).toContain('\n\\&.hidden\n')
  expect(page).toContain('\n\\(aqquoted\\(aq\n')
})

test.each([
  ['docs/commands.md', 'headwater', manualMarkdown(program, PROGRAM_FACTS)],
  ['docs/bridge-commands.md', 'headwater-bridge', manualMarkdown(bridge, BRIDGE_FACTS)],
])('%s is what the program says of itself', (file, name, markdown) => {
  const path = new URL(`../../../../../${file}`, import.meta.url)
  expect(readFileSync(path, 'utf8'), `write it anew: ${name} man --markdown > ${file}`).toBe(markdown)
})

const hasMan = has('man', '--version')
test.runIf(hasMan)('man takes the page without a warning', () => {
  const directory = mkdtempSync(join(tmpdir(), 'headwater-man-'))
  try {
    const file = join(directory, 'headwater.1')
    writeFileSync(file, pages[0][1])
    const { stderr, stdout } = spawnSync('man', ['--warnings', '-l', file], {
      encoding: 'utf8',
      env: { ...process.env, MANPAGER: 'cat', MANWIDTH: '80', LC_ALL: 'C.UTF-8' },
    })
    expect(stderr).toBe('')
    expect(stdout).toMatch(/^NAME$/m)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
})
