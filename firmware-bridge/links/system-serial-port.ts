/**
 * Serial ports of this machine, through the serialport package. It is loaded when the first port is opened: a bridge that has none does
 * without its native code.
 */
import { constants } from 'node:fs'
import { access, stat } from 'node:fs/promises'
import type { SerialPort as LibraryPort } from 'serialport'
import { SerialLibraryError } from './errors.ts'
import { type OpenSerialPort, PortFailure, type PortFailureKind, type SerialSettings } from './serial-port.ts'

/** How long DTR is low: longer than the capacitor of an Arduino's reset line needs. */
const RESET_MS = 100
/** Bytes of one read. */
const READ_BYTES_MAX = 16_384
/**
 * How often it is asked whether the port is still there. serialport waits in `poll` for bytes and is told there when a port goes away; but
 * where it goes away while a read is under way, reads give 0 bytes from then on, which it takes for none yet: it reads again and again, with
 * all of a core, and never tells.
 */
const WATCH_MS = 500

export const openSystemPort: OpenSerialPort = async (settings, { onData, onClosed }) => {
  await examine(settings.port)
  const port = await opened(settings)
  // The one end of a port's life: 'error' comes without one for calls that failed, and those are told to who called.
  port.on('error', () => {})
  let isOurs = false
  const endWatch = watch(port)
  port.once('close', (error: Error | null) => {
    endWatch()
    if (!isOurs) onClosed(error?.message ?? 'it hung up')
  })
  if (settings.resetOnOpen) await pulseReset(port)
  if (!port.isOpen) throw new PortFailure('unusable', 'it went away while it was opened')
  port.on('data', onData)
  return {
    write: (bytes) =>
      new Promise((resolve, reject) => {
        port.write(bytes, (error) => (error ? reject(error) : resolve()))
      }),
    pause: () => {
      port.pause()
    },
    resume: () => {
      port.resume()
    },
    async close() {
      isOurs = true
      port.removeListener('data', onData)
      if (!port.isOpen) return
      // closing waits up to 30 s in the kernel for bytes that flow control holds back
      await new Promise<void>((resolve) => port.flush(() => resolve()))
      await new Promise<void>((resolve) => port.close(() => resolve()))
    },
  }
}

/** What the system says of the path, before native code whose errors are texts alone. */
async function examine(path: string): Promise<void> {
  try {
    const found = await stat(path)
    if (!found.isCharacterDevice()) throw new PortFailure('unusable', 'it is no serial port')
    await access(path, constants.R_OK | constants.W_OK)
  } catch (error) {
    if (error instanceof PortFailure) throw error
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') throw new PortFailure('absent', 'it is not there')
    if (code === 'EACCES' || code === 'EPERM') throw new PortFailure('permission', 'permission denied')
    throw new PortFailure('unusable', message)
  }
}

async function opened({ port: path, resetOnOpen, ...settings }: SerialSettings): Promise<LibraryPort> {
  const { SerialPort } = await library()
  const port = new SerialPort({
    ...settings,
    path,
    autoOpen: false,
    // A second bridge, or a second link, on the same port would get every other byte.
    lock: true,
    // Dropping DTR when the port is closed resets an Arduino when it is opened again.
    hupcl: resetOnOpen,
    highWaterMark: READ_BYTES_MAX,
  })
  await new Promise<void>((resolve, reject) => {
    port.open((error) => {
      if (error) reject(new PortFailure(kindOf(error.message), plain(error.message)))
      else resolve()
    })
  })
  return port
}

async function library(): Promise<typeof import('serialport')> {
  try {
    return await import('serialport')
  } catch (error) {
    throw new SerialLibraryError(error)
  }
}

function kindOf(message: string): PortFailureKind {
  if (/cannot lock|resource busy/i.test(message)) return 'busy'
  if (/no such (file|device)/i.test(message)) return 'absent'
  if (/permission denied|not permitted/i.test(message)) return 'permission'
  return 'unusable'
}

/** `Error: Input/output error, cannot open /dev/x` without what the line around it says anyway. */
function plain(message: string): string {
  return message.replace(/^Error:? /, '').replace(/,? cannot open .*$/i, '')
}

/** Closes the port when the system knows it no more. @returns the way to end it */
function watch(port: LibraryPort): () => void {
  const timer = setInterval(() => {
    port.port?.getBaudRate().catch(({ message }: Error) => {
      // some systems cannot answer this
      if (/cannot get baud rate/.test(message) && port.isOpen) port.close(() => {})
    })
  }, WATCH_MS)
  return () => clearInterval(timer)
}

/** A pseudo terminal has no such lines, nor has every adapter: then there is nothing to pulse. */
async function pulseReset(port: LibraryPort): Promise<void> {
  const set = (isHigh: boolean) =>
    new Promise<boolean>((resolve) => port.set({ dtr: isHigh, rts: isHigh }, (error) => resolve(!error)))
  if (!(await set(false))) return
  await new Promise((resolve) => setTimeout(resolve, RESET_MS))
  await set(true)
}
