import { EventEmitter } from 'node:events'
import { expect, test } from 'vitest'
import { readSecret } from '../../../../broker/operations/terminal/secret.ts'

class Terminal extends EventEmitter {
  isRaw = false
  shown = ''
  setRawMode(isRaw: boolean) {
    this.isRaw = isRaw
  }
  resume() {}
  pause() {}
  write(text: string) {
    this.shown += text
  }
  type(text: string) {
    for (const byte of Buffer.from(text)) this.emit('data', Buffer.from([byte]))
  }
}

test.each([
  ['secret\r', 'secret'],
  ['sécrét\n', 'sécrét'],
  ['sé\x7fe\x08\x08x\r', 'x'],
  ['\x7f\x7fa\r', 'a'],
  ['wrong\x15right\r', 'right'],
  ['half\x03', ''],
  ['half\x04', ''],
])('%j is typed, and nothing of it is shown', async (keys, answer) => {
  const terminal = new Terminal()
  const reading = readSecret(terminal, terminal, 'password: ')
  expect(terminal.isRaw).toBe(true)
  terminal.type(keys)
  expect(await reading).toBe(answer)
  expect(terminal.shown).toBe('password: \n')
  expect([terminal.isRaw, terminal.listenerCount('data')]).toEqual([false, 0])
})

test('a line that is pasted at once ends where it ends', async () => {
  const terminal = new Terminal()
  const reading = readSecret(terminal, terminal, '')
  terminal.emit('data', Buffer.from('pasted\rmore'))
  expect(await reading).toBe('pasted')
})
