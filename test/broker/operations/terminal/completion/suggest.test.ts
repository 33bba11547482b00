import { expect, test } from 'vitest'
import { type Actions, buildProgram } from '../../../../../broker/operations/commands/program.ts'
import { answerText } from '../../../../../broker/operations/terminal/completion/scripts.ts'
import { suggest } from '../../../../../broker/operations/terminal/completion/suggest.ts'

const program = buildProgram('0', {} as Actions, () => {})
const typed = (line: string) => suggest(program, line.split(' '))

function wordsOf(line: string): string[] {
  const { suggested } = typed(line)
  if (suggested.kind !== 'words') throw new Error(`${line}: ${suggested.kind}`)
  return suggested.words.map(({ word }) => word)
}

test('commands, and the commands of a group', () => {
  expect(wordsOf('')).toEqual(expect.arrayContaining(['start', 'doctor', 'clients', 'sync']))
  expect(wordsOf('')).not.toContain('complete-words')
  expect(wordsOf('sync ')).toEqual(['status', 'pause', 'resume', 'now', 'verify', 'rewind'])
  expect(wordsOf('log ')).toEqual(['verify', 'repair', 'acknowledge', 'dump'])
  // a command that has an action of its own and others below
  expect(wordsOf('clients ')).toEqual(['disconnect'])
})

test('options of the command, without those that were given', () => {
  expect(wordsOf('status --')).toEqual(['--watch', '--json', '--config', '--data', '--help'].toSorted(byHelp))
  expect(wordsOf('status --json --')).not.toContain('--json')
  expect(wordsOf('status -d /data --')).not.toContain('--data')
})

/** In the order of the help. */
function byHelp(one: string, other: string): number {
  const order = ['--config', '--data', '--json', '--watch', '--help']
  return order.indexOf(one) - order.indexOf(other)
}

test.each([
  ['read ', { kind: 'names', of: 'stream' }],
  ['streams compact ', { kind: 'names', of: 'stream' }],
  ['log dump --stream ', { kind: 'names', of: 'stream' }],
  ['sync pause ', { kind: 'names', of: 'upstream' }],
  ['sync rewind central ', { kind: 'names', of: 'stream' }],
  ['clients disconnect ', { kind: 'names', of: 'client' }],
  ['clients disconnect --yes pum', { kind: 'names', of: 'client' }],
  ['check ', { kind: 'files' }],
  ['status --config ', { kind: 'files' }],
  ['status -d ', { kind: 'directories' }],
  ['users add ann --password-file ', { kind: 'files' }],
])('headwater %s asks for %j', (line, suggested) => {
  expect(typed(line).suggested).toEqual(suggested)
})

test('values that can be chosen from', () => {
  expect(wordsOf('completion ')).toEqual(['bash', 'zsh', 'fish'])
  expect(wordsOf('read events --format ')).toEqual(['ndjson', 'raw'])
  expect(wordsOf('read events --from ')).toEqual(['earliest', 'latest'])
  expect(wordsOf('top -s ')).toContain('waiting')
})

test('nothing where nothing is known: a number, one argument too many, behind --', () => {
  expect(wordsOf('read events --count ')).toEqual([])
  expect(wordsOf('read events ')).toEqual([])
  expect(typed('read -- --').suggested).toEqual({ kind: 'names', of: 'stream' })
  expect(wordsOf('nonsense ')).toEqual([])
})

test('where to ask is what was typed', () => {
  expect(typed('read -d /data -c=x.yaml ').located).toEqual({ data: '/data', config: 'x.yaml' })
  expect(typed('read --data=/data ').located).toEqual({ data: '/data' })
})

test('an answer has what begins so, a line each; a name that would break the line is left out', () => {
  const words = [
    { word: 'pump-7', text: 'in\nhall 2' },
    { word: 'pump-8', text: '' },
    { word: 'oven', text: 'x' },
    { word: 'pump\n9', text: '' },
  ]
  expect(answerText({ kind: 'words', words }, 'pump')).toBe(':words\npump-7\tin hall 2\npump-8\n')
  expect(answerText({ kind: 'files', words: [] }, '')).toBe(':files\n')
})

test('a word that a terminal cannot show as it is is left out', () => {
  const words = ['plain', 'a\u001b[31m', '\u202egnp.exe', 'a\u2028b'].map((word) => ({
    word,
    text: 'x\u009b',
  }))
  expect(answerText({ kind: 'words', words }, '')).toBe(':words\nplain\tx\\u009b\n')
})
