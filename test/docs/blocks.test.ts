import { expect, test } from 'vitest'
import { blocksOf, type Mark, parseMark } from './blocks.ts'
import { notSeen, scriptOf } from './script.ts'

const fenced = (language: string, ...lines: string[]) => [`\`\`\`${language}`, ...lines, '```'].join('\n')
const texts = (markdown: string) => blocksOf('a.md', markdown)[0]!.commands.map(({ text }) => text)

test('a mark has a need, words and what to set up', () => {
  expect(parseMark('broker; exits 1; programs nc xxd\necho a\necho b')).toEqual({
    need: 'broker',
    detail: '',
    exits: 1,
    programs: ['nc', 'xxd'],
    isCompared: true,
    setUp: 'echo a\necho b',
  })
  expect(parseMark('not run: a card is flashed')).toMatchObject({
    need: 'not run',
    detail: 'a card is flashed',
  })
})

test('a mark that is not known is said to be so', () => {
  expect(parseMark('brocker')).toMatch(/^"brocker" is no need/)
  expect(parseMark('run; exit 1')).toBe('"exit 1" is not known')
  expect(parseMark('not run:')).toBe('"not run" says no more')
})

test('a block of commands without a mark has none', () => {
  expect(blocksOf('a.md', `text\n\n${fenced('sh', 'ls')}`)).toMatchObject([
    { line: 3, mark: 'no mark stands above it' },
  ])
  expect(blocksOf('a.md', `<!-- a remark -->\n${fenced('sh', 'ls')}`)[0]!.mark).toBe(
    'no mark stands above it',
  )
})

test('a mark stands with its block in a list, too', () => {
  const text = ['- an item', '', '  <!-- test: package', '  one', '  -->', '  ```sh', '  two', '  ```'].join(
    '\n',
  )
  expect(blocksOf('a.md', text)).toMatchObject([
    { line: 6, mark: { need: 'package', setUp: 'one' }, commands: [{ text: 'two' }] },
  ])
})

test('blocks of other languages are left alone', () => {
  expect(
    blocksOf('a.md', [fenced('yaml', 'a: 1'), fenced('', 'shown'), fenced('ts', '$ no')].join('\n')),
  ).toEqual([])
})

test('what belongs together is one command', () => {
  const block = [
    '# a remark',
    'one',
    'two \\',
    '  --long',
    "cat > f <<'EOF'",
    'x: "',
    'EOF',
    "{ printf 'a'; sleep 1",
    "  printf 'b'; } | nc",
    'for a in b; do',
    '  echo $a',
    'done',
    'three &&',
    '  four',
  ]
  expect(texts(fenced('sh', ...block)).map((text) => text.split('\n').length)).toEqual([1, 2, 3, 2, 3, 2])
})

test('a transcript has commands and what they show', () => {
  const [block] = blocksOf('a.md', `<!-- test: run -->\n${fenced('', '$ one', 'shown', '', '$ two')}`)
  expect(block).toMatchObject({
    isTranscript: true,
    commands: [
      { line: 3, text: 'one', shown: ['shown', ''] },
      { line: 6, text: 'two', shown: [] },
    ],
  })
})

test('what asks is given a terminal and a person, what does not end is ended', () => {
  const commands = [
    'sudo headwater users add a',
    'echo x | headwater users add b',
    'sudo apt purge headwater',
    'journalctl -f',
  ]
  const [block] = blocksOf('a.md', `<!-- test: package -->\n${fenced('sh', ...commands)}`)
  const steps = scriptOf(block!, block!.mark as Mark)
    .split('\n')
    .filter((line) => /headwater|journalctl/.test(line))
  expect(steps).toEqual([
    "in_terminal 'sudo headwater users add a' 'password of' 'correct horse battery' 'once more' 'correct horse battery'",
    'echo x | headwater users add b',
    `in_terminal 'sudo apt purge headwater' 'Do you want to continue' 'y' 'Delete all of Headwater'\\''s data' 'no'`,
    "until_ctrl_c 'journalctl -f'",
  ])
})

test('a transcript is compared without its numbers, times and widths', () => {
  const output = 'NAME   ROWS\nevents   1,204  2026-03-01T12:00:00Z  done\nend'
  expect(notSeen(['NAME ROWS', 'events 7 2027-04-02T13:01:02.123Z  done'], output)).toEqual([])
  expect(notSeen(['events … done', 'NAME ROWS'], output)).toEqual(['NAME ROWS'])
  expect(notSeen(['states 7 … done'], output)).toEqual(['states 7 … done'])
})
