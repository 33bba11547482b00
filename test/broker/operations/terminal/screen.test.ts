import { EventEmitter } from 'node:events'
import { expect, test } from 'vitest'
import { Output } from '../../../../broker/operations/terminal/output.ts'
import { type Ending, Screen } from '../../../../broker/operations/terminal/screen.ts'

const TAKEN = '\u001b[?1049h\u001b[?25l'
const GIVEN_BACK = '\u001b[?25h\u001b[?1049l'

class Keyboard extends EventEmitter {
  isRaw = false
  setRawMode(isRaw: boolean) {
    this.isRaw = isRaw
  }
  resume() {}
  pause() {}
}

class Process extends EventEmitter {
  exited: number | null = null
  exit(code: number) {
    this.exited = code
  }
  readonly pid = 7
  readonly killed: unknown[] = []
  kill(pid: number, signal: string) {
    this.killed.push([pid, signal])
  }
}

function open(columns = 10, rows = 3) {
  const written: string[] = []
  const stream = {
    isTTY: true,
    columns,
    rows,
    write: (text: string | Uint8Array) => written.push(String(text)) > 0,
    once() {},
  }
  const keyboard = new Keyboard()
  const ending = new Process()
  const keys: string[] = []
  const out = new Output(stream, { NO_COLOR: '1' })
  const screen = new Screen(out, keyboard as never, (key) => keys.push(key), ending as unknown as Ending)
  return { screen, written, keyboard, ending, keys }
}

test('a frame is written over the last one, in one write, without a line too many or too long', () => {
  const { screen, written } = open()
  screen.show(['first', 'a line that is too long', 'third', 'fourth'])
  expect(written).toEqual([TAKEN, '\u001b[Hfirst\u001b[K\r\na line th…\u001b[K\r\nthird\u001b[K\u001b[J'])
})

test('keys come one by one; those of the cursor are none', () => {
  const { keyboard, keys } = open()
  expect(keyboard.isRaw).toBe(true)
  keyboard.emit('data', Buffer.from('sq'))
  keyboard.emit('data', Buffer.from('\u001b[A'))
  keyboard.emit('data', Buffer.from('\u0003'))
  expect(keys).toEqual(['s', 'q', '\u0003'])
})

test.each([
  ['close', (screen: Screen) => screen.close(), null],
  ['the end of the process', (_: Screen, ending: Process) => ending.emit('exit'), null],
  ['SIGHUP', (_: Screen, ending: Process) => ending.emit('SIGHUP'), 129],
  ['SIGQUIT', (_: Screen, ending: Process) => ending.emit('SIGQUIT'), 131],
])('%s gives the terminal back, once', (_, end, code) => {
  const { screen, written, keyboard, ending } = open()
  end(screen, ending)
  screen.close()
  screen.show(['late'])
  expect(written).toEqual([TAKEN, GIVEN_BACK])
  expect(keyboard.isRaw).toBe(false)
  expect(keyboard.listenerCount('data')).toBe(0)
  expect(ending.eventNames()).toEqual([])
  expect(ending.exited).toBe(code)
})

test('Ctrl-Z gives the terminal back before the process stands still, and afterwards it has its own screen again', () => {
  const { screen, written, keyboard, ending } = open()
  ending.emit('SIGTSTP')
  expect(written).toEqual([TAKEN, GIVEN_BACK])
  expect(keyboard.isRaw).toBe(false)
  expect(ending.killed).toEqual([[7, 'SIGSTOP']])
  ending.emit('SIGCONT')
  expect(written.at(-1)).toBe(TAKEN)
  expect(keyboard.isRaw).toBe(true)
  screen.close()
  expect(written.at(-1)).toBe(GIVEN_BACK)
})
