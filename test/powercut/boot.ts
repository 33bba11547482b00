/**
 * Why a machine that was switched on does not do what is waited for. A connection that qemu's network accepts says nothing: it accepts for the
 * machine before the machine was asked. So another program of that machine is asked how it is: where it answers, the broker has no excuse.
 *
 * | the machine's own word | the emulator had    | what it is                                                            |
 * |------------------------|---------------------|-----------------------------------------------------------------------|
 * | it answers             | its time            | the broker's: a fault, told with that word                             |
 * | it is silent           | its time            | the emulator's or the kernel's: a cut, another boot, a few times, told |
 * | either                 | too little of it    | nobody's: no judgement                                                 |
 */
import { connect } from 'node:net'

/** What is waited for does not come though the machine is well. */
export class BrokerSilentError extends Error {}
/** The machine says nothing at all. */
export class MachineSilentError extends Error {}
/** The emulator was not let work. */
export class StarvedError extends Error {}

export interface Patience {
  /** Of the time that the emulator was let work, ms. */
  readonly servedMsMax: number
  /** By the wall's clock, ms. */
  readonly passedMsMax: number
}

/** An emulated machine starts some processes to say it. */
const WORD_MS_MAX = 120_000

/** @returns what the machine says of itself; null where it says nothing */
export function wordOf(port: number, msMax = WORD_MS_MAX): Promise<string | null> {
  return new Promise((resolve) => {
    let text = ''
    const socket = connect({ host: '127.0.0.1', port })
    const done = () => {
      clearTimeout(timer)
      socket.destroy()
      resolve(text.trim() === '' ? null : text.trim())
    }
    const timer = setTimeout(done, msMax)
    socket.setEncoding('utf8')
    socket.on('data', (piece: string) => {
      text += piece
    })
    socket.on('error', done)
    socket.on('close', done)
  })
}

/** @returns null while there is patience left */
export async function whyNot(
  what: string,
  time: { readonly passedMs: number; readonly servedMs: number },
  patience: Patience,
  word: () => Promise<string | null>,
): Promise<Error | null> {
  const { passedMs, servedMs } = time
  const had = `the emulator was let work ${seconds(servedMs)} s of ${seconds(passedMs)} s`
  if (servedMs <= patience.servedMsMax) {
    if (passedMs <= patience.passedMsMax) return null
    return new StarvedError(`${what}: not within time, but ${had}`)
  }
  const said = await word()
  if (said === null) return new MachineSilentError(`${what}, and the machine says nothing; ${had}`)
  return new BrokerSilentError(`${what}, though the machine is well; ${had}. It says:\n${said}`)
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(0)
}
