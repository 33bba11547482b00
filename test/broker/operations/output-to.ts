/** Where a command writes, and nobody sits: a pipe, of which a test takes the text. */
import { Output } from '../../../broker/operations/terminal/output.ts'

export function outputTo(take: (text: string) => void): Output {
  const stream = {
    isTTY: false,
    write(text: string | Uint8Array) {
      take(String(text))
      return true
    },
    once() {},
  }
  return new Output(stream, {})
}
