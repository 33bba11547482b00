/** The bash script that runs a block of commands as a person would: line by line, until one fails. */
import type { Block, Command, Mark } from './blocks.ts'

const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`
const SERVES = /\b(headwater|headwater-bridge) start\b/
/** Until Ctrl-C. */
const RUNS_ON = /\s(--follow|--watch)\b|\bjournalctl\b.*\s-f\b|\btop\b(?!.*--count)|\bmosquitto_sub\b(?!.*-C)/
/** What asks on a terminal: its questions, each with what a person types there. */
const ASKS: readonly (readonly [RegExp, ...(readonly [question: string, typed: string])[]])[] = [
  [
    /^[^|]*\busers (add|passwd)\b(?!.*(<|--password-file))/,
    ['password of', 'correct horse battery'],
    ['once more', 'correct horse battery'],
  ],
  [/\bapt (install|remove)\b/, ['Do you want to continue', 'y']],
  [/\bapt purge\b/, ['Do you want to continue', 'y'], ["Delete all of Headwater's data", 'no']],
]

/** A command without a comment at its end. */
const bare = (text: string) => text.replace(/\s+#(?!.*['"]).*$/gm, '').trimEnd()

function step({ text }: Command, isLast: boolean): string {
  const command = bare(text)
  const serves = SERVES.exec(command)
  // it has a terminal of its own, whether its reader opens one or not
  if (serves !== null) return `serve ${serves[1]} ${quoted(command.replace(/\s*&$/, ''))}`
  const [, ...questions] = ASKS.find(([pattern]) => pattern.test(command)) ?? []
  if (questions.length > 0) return ['in_terminal', ...[command, ...questions.flat()].map(quoted)].join(' ')
  if (!RUNS_ON.test(command)) return text
  // what others publish later is seen by it
  const isBeside = !isLast && /mosquitto_sub/.test(command)
  return `${isBeside ? 'beside' : 'until_ctrl_c'} ${quoted(command)}`
}

function before({ need, detail, setUp }: Mark): string[] {
  const start = `serve headwater ${quoted(`headwater start ${detail}`.trim())}`
  return [
    ...(need === 'stopped' ? ['stop_serving headwater'] : []),
    ...(need === 'package' ? ['is_installed || install_package'] : []),
    ...(setUp === '' ? [] : [setUp]),
    ...(need === 'broker' ? [`is_serving headwater || ${start}`] : []),
  ]
}

/** Marks in the output where a command's begins. */
export const COMMAND_BEGINS = '\u001ecommand '

/** `$STATE/at` tells how far it came: the number of the command, counted from 1. */
export function scriptOf(block: Block, mark: Mark): string {
  const steps = block.commands.map((command, index) => step(command, index === block.commands.length - 1))
  return [
    'set -eo pipefail',
    'echo 0 >"$STATE/at"',
    ...before(mark),
    ...steps.flatMap((text, index) => [
      `echo ${index + 1} >"$STATE/at"; echo ${quoted(`${COMMAND_BEGINS}${index + 1}`)}`,
      text,
    ]),
    ...(steps.some((text) => text.startsWith('beside ')) ? ['end_beside'] : []),
  ].join('\n')
}

/** A line's shape: numbers, and the width of columns, are left out. */
const shape = (line: string) =>
  line
    .replace(/\d[\d,.:TZ-]*/g, '0')
    .replace(/\s+/g, ' ')
    .trim()

/** The lines that a transcript shows and its run did not, in this order. "…" stands for anything. */
export function notSeen(shown: readonly string[], output: string): string[] {
  const rest = output.split('\n').map(shape)
  return shown.filter((line) => {
    const pieces = shape(line)
      .split('…')
      .map((piece) => piece.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
    const pattern = new RegExp(`^${pieces.join('.*')}$`)
    const found = rest.findIndex((candidate) => pattern.test(candidate))
    if (found >= 0) rest.splice(0, found + 1)
    return found < 0
  })
}
