/**
 * Blocks of commands in a Markdown document, and what they need: a comment right above the block, which a reader does not see.
 *
 *   mark      = "<!-- test: " need *( "; " word ) [ newline set-up ] " -->"
 *   need      = "run"                   nothing but the programs
 *             / "broker"                a running broker; unless one runs, one is started, "broker: ARGUMENTS" with these
 *             / "stopped"               no broker; one that runs is stopped
 *             / "system"                a Debian that systemd has booted, without Headwater: test/package runs it
 *             / "package"               the same with the package; unless it is installed, it is
 *             / "elsewhere: FILE"       another test, which is there, runs it: for what takes a cluster
 *             / "not run: REASON"       nothing here can run it
 *   word      = "exits " 1*DIGIT        of its last command; 0 where nothing is said
 *             / "programs " NAME *( " " NAME )   that are not on every machine
 *             / "output not compared"   of a transcript
 *   set-up    = lines of commands that run first, which a reader has done, or need not see
 *
 * A block of commands is one in `sh`, or a transcript: in `console`, or in nothing with a first line that begins with "$ ".
 */

export interface Command {
  /** Of the document, counted from 1. */
  readonly line: number
  readonly text: string
  /** What a transcript shows after it. */
  readonly shown: readonly string[]
}

export interface Mark {
  readonly need: 'run' | 'broker' | 'stopped' | 'system' | 'package' | 'elsewhere' | 'not run'
  /** What stands behind the need's colon. */
  readonly detail: string
  readonly exits: number
  readonly programs: readonly string[]
  readonly isCompared: boolean
  readonly setUp: string
}

export interface Block {
  readonly file: string
  readonly line: number
  readonly isTranscript: boolean
  readonly commands: readonly Command[]
  /** Without one, or with one that is not understood, the reason. */
  readonly mark: Mark | string
}

const NEEDS = ['run', 'broker', 'stopped', 'system', 'package', 'elsewhere', 'not run'] as const

export function parseMark(comment: string): Mark | string {
  const [first = '', ...setUp] = comment.split('\n')
  const isReason = first.startsWith('not run')
  const [head = '', ...words] = isReason ? [first] : first.split(';').map((part) => part.trim())
  const need = NEEDS.find((name) => head === name || head.startsWith(`${name}:`))
  if (need === undefined) return `"${head}" is no need: ${NEEDS.join(', ')}`
  const detail = head.slice(need.length + 1).trim()
  if ((need === 'elsewhere' || need === 'not run') && detail === '') return `"${need}" says no more`
  const mark = { need, detail, exits: 0, programs: [] as string[], isCompared: true }
  for (const word of words) {
    if (/^exits \d+$/.test(word)) mark.exits = Number(word.slice(6))
    else if (word.startsWith('programs ')) mark.programs = word.slice(9).split(' ')
    else if (word === 'output not compared') mark.isCompared = false
    else return `"${word}" is not known`
  }
  return { ...mark, setUp: setUp.join('\n').trim() }
}

/** Whether a shell would wait for more: an open quote, loop, here-document, or a line that goes on. */
function isOpen(text: string): boolean {
  if (/(\\|\||&&)\s*$/.test(text)) return true
  const here = /<<-?\s*'?(\w+)'?/.exec(text)
  const document = here === null ? null : new RegExp(`\n([\\s\\S]*\n)?${here[1]}$`).exec(text)
  if (here !== null && document === null) return true
  const bare = text
    .slice(0, document?.index)
    .replace(/\\./g, '')
    .replace(/(^|\s)#.*$/gm, '$1')
  const quotes = bare.replace(/'[^']*'|"[^"]*"/g, '')
  if (/['"]/.test(quotes)) return true
  const count = (pattern: RegExp) => quotes.match(pattern)?.length ?? 0
  return (
    count(/(^|[;\s])do(\s|$)/gm) > count(/(^|[;\s])done(\s|$|[;|)])/gm) ||
    count(/(^|\s)\{(\s|$)/gm) > count(/(^|[;\s])\}(\s|$)/gm)
  )
}

function commandsOf(lines: readonly string[], firstLine: number): Command[] {
  const commands: Command[] = []
  let text = ''
  let start = 0
  lines.forEach((line, index) => {
    if (text === '') {
      if (/^\s*(#.*)?$/.test(line)) return
      start = firstLine + index
    }
    text = text === '' ? line : `${text}\n${line}`
    if (isOpen(text)) return
    commands.push({ line: start, text, shown: [] })
    text = ''
  })
  if (text !== '') commands.push({ line: start, text, shown: [] })
  return commands
}

function transcriptOf(lines: readonly string[], firstLine: number): Command[] {
  const commands: (Command & { shown: string[] })[] = []
  lines.forEach((line, index) => {
    if (line.startsWith('$ ')) commands.push({ line: firstLine + index, text: line.slice(2), shown: [] })
    else commands.at(-1)?.shown.push(line)
  })
  return commands
}

/** The mark that ends in the last line that is not empty above `index`. */
function markAbove(lines: readonly string[], index: number): Mark | string {
  let last = index - 1
  while (last >= 0 && lines[last]!.trim() === '') last -= 1
  if (last < 0 || !lines[last]!.trimEnd().endsWith('-->')) return 'no mark stands above it'
  let first = last
  while (first >= 0 && !lines[first]!.trimStart().startsWith('<!--')) first -= 1
  const comment = lines
    .slice(first, last + 1)
    .join('\n')
    .trimStart()
  const inside = /^<!-- test: ([\s\S]*?)\s*-->$/.exec(comment.trimEnd())
  return inside === null ? 'no mark stands above it' : parseMark(inside[1]!)
}

/** The blocks of commands of a document, in its order. */
export function blocksOf(file: string, markdown: string): Block[] {
  const lines = markdown.split('\n')
  const blocks: Block[] = []
  for (let at = 0; at < lines.length; at += 1) {
    const fence = /^(\s*)```(\w*)/.exec(lines[at]!)
    if (fence === null) continue
    const end = lines.findIndex((line, index) => index > at && line.trim() === '```')
    const inside = lines.slice(at + 1, end).map((line) => line.slice(fence[1]!.length))
    const isTranscript = fence[2] === 'console' || (fence[2] === '' && inside[0]?.startsWith('$ ') === true)
    if (isTranscript || fence[2] === 'sh')
      blocks.push({
        file,
        line: at + 1,
        isTranscript,
        commands: isTranscript ? transcriptOf(inside, at + 2) : commandsOf(inside, at + 2),
        mark: markAbove(lines, at),
      })
    at = end
  }
  return blocks
}
