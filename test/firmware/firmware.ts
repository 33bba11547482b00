/** Builds the test's firmware for each board, and makes a copy of it for a boot. */
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { compile, DEVICE, missing, ROOT, type Tool, WARNINGS } from '../firmware-bridge/device/compilers.ts'

const EXAMPLES = join(DEVICE, 'examples')
const BARE_METAL = join(EXAMPLES, 'bare-metal')
const SOURCES = join(ROOT, 'test/firmware/device')
const MARK = Buffer.from('HWBOOT01')

/** Short, so that a run has many repetitions and reconnections; all else is as a firmware has it. */
const TIMES = [
  'HW_RETRY_MS=70',
  'HW_RETRY_MS_MAX=1000',
  'HW_RETRIES=5',
  'HW_RECONNECT_MS_MAX=1000',
  'HW_CONGESTION_MS=200',
]

export interface Board {
  /** Also its client id. */
  readonly name: string
  readonly what: string
  readonly tools: readonly Tool[]
  readonly compiler: Tool
  readonly args: readonly string[]
  /** @returns program and arguments that run the firmware, its UART on the standard streams */
  command(firmware: string): readonly [string, ...string[]]
}

const QEMU = ['-display', 'none', '-monitor', 'none', '-serial', 'stdio']

export const BOARDS: readonly Board[] = [
  {
    name: 'm3',
    what: 'Cortex-M3, LM3S6965 in QEMU',
    tools: ['arm-none-eabi-gcc', 'qemu-system-arm'],
    compiler: 'arm-none-eabi-gcc',
    args: [
      ...['-mcpu=cortex-m3', '-mthumb', '-ffreestanding', '-fno-tree-loop-distribute-patterns', '-nostdlib'],
      ...['-T', join(BARE_METAL, 'lm3s6965evb.ld'), join(BARE_METAL, 'lm3s6965evb.c'), '-lgcc'],
    ],
    command: (firmware) => ['qemu-system-arm', '-M', 'lm3s6965evb', ...QEMU, '-kernel', firmware],
  },
  {
    name: 'uno',
    what: 'ATmega328P, Arduino Uno in QEMU',
    tools: ['avr-gcc', 'qemu-system-avr'],
    compiler: 'avr-gcc',
    args: ['-mmcu=atmega328p', '-ffreestanding', join(BARE_METAL, 'atmega328p.c')],
    command: (firmware) => ['qemu-system-avr', '-M', 'uno', ...QEMU, '-bios', firmware],
  },
  {
    name: 'posix',
    what: 'this machine',
    tools: ['cc'],
    compiler: 'cc',
    args: ['-I', join(EXAMPLES, 'posix'), join(SOURCES, 'posix.c')],
    command: (firmware) => [firmware],
  },
]

/** @returns what it takes and this machine lacks, in one line; null where nothing is missing */
export function whatIsMissing(): string | null {
  return missing(...new Set(BOARDS.flatMap(({ tools }) => tools)))
}

/** @param takesCommands it subscribes, and goes on with its session when it is reset @returns the firmware's file in the directory */
export function buildFirmware(board: Board, directory: string, takesCommands: boolean): string {
  const path = join(directory, `${board.name}.elf`)
  const [first, ...rest] = [join(SOURCES, 'app.c'), ...board.args]
  const flags = ['-std=gnu99', '-Os', ...WARNINGS.filter((each) => each !== '-pedantic')]
  const own = [`DEVICE="${board.name}"`, `INITIAL='${board.name[0]}'`, `DOWN=${takesCommands ? 1 : 0}`]
  const defines = [...own, ...TIMES].map((each) => `-D${each}`)
  compile(board.compiler, [...flags, ...defines, '-I', DEVICE, '-I', BARE_METAL, first!, ...rest, '-o', path])
  return path
}

export function buildPtyHolder(directory: string): string {
  const path = join(directory, 'pty')
  compile('cc', ['-Wall', '-Wextra', '-Werror', join(SOURCES, 'pty.c'), '-o', path])
  return path
}

/** A copy that knows which boot it is. */
export function forBoot(firmware: string, boot: number): string {
  const bytes = readFileSync(firmware)
  const at = bytes.indexOf(MARK)
  if (at < 0 || bytes.indexOf(MARK, at + 1) >= 0) throw new Error(`${firmware}: not one mark for the boot`)
  bytes.writeUInt32BE(boot, at + MARK.length)
  const path = firmware.replace(/\.elf$/, `-${boot}.elf`)
  writeFileSync(path, bytes)
  chmodSync(path, 0o755)
  return path
}
