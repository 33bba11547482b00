/**
 * A terminal's whole screen, drawn again and again without flicker: each frame is written over the last one, line by line, in one
 * write. Whatever ends the process but SIGKILL, the terminal is given back as it was found.
 */
import type { Output } from './output.ts'
import { cutTo } from './width.ts'

const CSI = '\u001b['
/** What was on the terminal comes back afterwards. */
const OWN_SCREEN = `${CSI}?1049h`
const FORMER_SCREEN = `${CSI}?1049l`
const HIDE_CURSOR = `${CSI}?25l`
const SHOW_CURSOR = `${CSI}?25h`
const HOME = `${CSI}H`
const CLEAR_TO_LINE_END = `${CSI}K`
const CLEAR_BELOW = `${CSI}J`

/** The keyboard, where there is one. */
export interface KeyInput {
  setRawMode(isRaw: boolean): unknown
  resume(): unknown
  pause(): unknown
  on(event: 'data', listener: (chunk: Buffer) => void): unknown
  off(event: 'data', listener: (chunk: Buffer) => void): unknown
}

type Notice = 'exit' | 'SIGHUP' | 'SIGQUIT' | 'SIGTSTP' | 'SIGCONT'

/** How to be told that the process ends or stands still, also where nobody asked: node's process. */
export interface Ending {
  readonly pid: number
  on(event: Notice, listener: () => void): unknown
  off(event: Notice, listener: () => void): unknown
  exit(code: number): unknown
  kill(pid: number, signal: 'SIGSTOP'): unknown
}

const HANG_UP = 1
const QUIT = 3
const SIGNALLED = 128

export class Screen {
  readonly #out: Output
  readonly #keys: KeyInput | null
  readonly #ending: Ending
  readonly #onKey: (key: string) => void
  #isOpen = true

  /**
   * @param out a terminal
   * @param keys its keyboard; null where keys mean nothing, so that Ctrl-C stays a signal
   * @param onKey gets each key; Ctrl-C comes as "\u0003"
   */
  constructor(
    out: Output,
    keys: KeyInput | null = null,
    onKey: (key: string) => void = () => {},
    ending: Ending = process,
  ) {
    this.#out = out
    this.#keys = keys
    this.#onKey = onKey
    this.#ending = ending
    ending.on('exit', this.#close)
    ending.on('SIGHUP', this.#hangUp)
    ending.on('SIGQUIT', this.#quit)
    ending.on('SIGTSTP', this.#stand)
    ending.on('SIGCONT', this.#goOn)
    this.#goOn()
    keys?.on('data', this.#take)
    keys?.resume()
  }

  /** @param lines those that do not fit are left out, from the end; each is cut to the width */
  show(lines: readonly string[]): void {
    if (!this.#isOpen) return
    const { columns, rows } = this.#out
    const shown = lines.slice(0, rows).map((line) => cutTo(line, columns) + CLEAR_TO_LINE_END)
    // no line end after the last one: it would scroll
    this.#out.raw(`${HOME}${shown.join('\r\n')}${CLEAR_BELOW}`)
  }

  close(): void {
    this.#close()
  }

  readonly #close = (): void => {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#keys?.off('data', this.#take)
    this.#keys?.pause()
    this.#ending.off('exit', this.#close)
    this.#ending.off('SIGHUP', this.#hangUp)
    this.#ending.off('SIGQUIT', this.#quit)
    this.#ending.off('SIGTSTP', this.#stand)
    this.#ending.off('SIGCONT', this.#goOn)
    this.#giveBack()
  }

  #giveBack(): void {
    this.#keys?.setRawMode(false)
    this.#out.raw(SHOW_CURSOR + FORMER_SCREEN)
  }

  /** Ctrl-Z: the shell gets its terminal as it was. */
  readonly #stand = (): void => {
    this.#giveBack()
    this.#ending.kill(this.#ending.pid, 'SIGSTOP')
  }

  /** `fg`: the next frame is drawn on a screen of its own again. */
  readonly #goOn = (): void => {
    this.#out.raw(OWN_SCREEN + HIDE_CURSOR)
    this.#keys?.setRawMode(true)
  }

  readonly #hangUp = (): void => {
    this.#close()
    this.#ending.exit(SIGNALLED + HANG_UP)
  }

  readonly #quit = (): void => {
    this.#close()
    this.#ending.exit(SIGNALLED + QUIT)
  }

  readonly #take = (chunk: Buffer): void => {
    // what is held down comes several at once; sequences of cursor keys mean nothing here
    const text = chunk.toString('utf8')
    if (text.startsWith('\u001b')) return
    for (const key of text) this.#onKey(key)
  }
}
