/** What a report prints, kept as lines in place of being written: for a screen that is drawn again and again. */
import { Output } from './output.ts'

/** @param like the terminal that the lines are for: as wide, and with colours where it has them */
export function pageOf(like: Output, print: (out: Output) => void): string[] {
  let text = ''
  const { columns, rows } = like
  const kept = {
    isTTY: like.isTerminal,
    columns,
    rows,
    write(piece: string | Uint8Array) {
      text += typeof piece === 'string' ? piece : Buffer.from(piece).toString('utf8')
      return true
    },
    once() {},
  }
  print(new Output(kept, { FORCE_COLOR: like.hasColours ? '1' : '0' }))
  return text.replace(/\n$/, '').split('\n')
}
