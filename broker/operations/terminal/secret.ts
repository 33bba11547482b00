/** Reads a line from a terminal that does not show it. */

export interface SecretInput {
  setRawMode(isRaw: boolean): unknown
  resume(): unknown
  pause(): unknown
  on(event: 'data', listener: (chunk: Buffer) => void): unknown
  off(event: 'data', listener: (chunk: Buffer) => void): unknown
}

const CTRL_C = 0x03
const CTRL_D = 0x04
const CTRL_U = 0x15
const BACKSPACE = [0x08, 0x7f]
const LINE_END = [0x0a, 0x0d]

/** Ctrl-C and Ctrl-D give up: the answer is empty. */
export function readSecret(
  input: SecretInput,
  output: { write(text: string): unknown },
  question: string,
): Promise<string> {
  output.write(question)
  input.setRawMode(true)
  input.resume()
  const bytes: number[] = []
  return new Promise((resolve) => {
    const done = (text: string) => {
      input.off('data', take)
      input.setRawMode(false)
      input.pause()
      output.write('\n')
      resolve(text)
    }
    const take = (chunk: Buffer) => {
      for (const byte of chunk) {
        if (LINE_END.includes(byte)) return done(Buffer.from(bytes).toString('utf8'))
        if (byte === CTRL_C || byte === CTRL_D) return done('')
        if (byte === CTRL_U) bytes.length = 0
        else if (BACKSPACE.includes(byte)) removeCharacter(bytes)
        else bytes.push(byte)
      }
    }
    input.on('data', take)
  })
}

/** The last one, with all bytes that UTF-8 has for it. */
function removeCharacter(bytes: number[]): void {
  while (bytes.length > 0 && (bytes.pop()! & 0xc0) === 0x80);
}
