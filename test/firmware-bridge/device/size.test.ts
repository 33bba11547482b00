/**
 * What the library takes on a microcontroller. Counted: the sections of one object file that holds the library and one hw_client and
 * nothing else. Flash is .text, .rodata and .data, RAM is .data and .bss. Not counted: hw_topic of 16 B each, the stack, and helpers
 * of libgcc, which must be ones that are named here.
 */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildDirectory, compile, DEVICE, isSkipped, type Tool, WARNINGS } from './compilers.ts'

interface Target {
  readonly name: string
  readonly compiler: Tool
  readonly binutils: string
  readonly flags: readonly string[]
  readonly flashMax: number
  readonly ramMax: number
  /** Of libgcc and of the start-up code. */
  readonly undefinedAllowed: RegExp
}

const TARGETS: readonly Target[] = [
  {
    name: 'Cortex-M0+',
    compiler: 'arm-none-eabi-gcc',
    binutils: 'arm-none-eabi-',
    flags: ['-mcpu=cortex-m0plus', '-mthumb'],
    flashMax: 3000,
    ramMax: 400,
    undefinedAllowed: /^__(aeabi|gnu_thumb1)_/,
  },
  {
    name: 'Cortex-M3',
    compiler: 'arm-none-eabi-gcc',
    binutils: 'arm-none-eabi-',
    flags: ['-mcpu=cortex-m3', '-mthumb'],
    flashMax: 3000,
    ramMax: 400,
    undefinedAllowed: /^__aeabi_/,
  },
  {
    name: 'ATmega328P',
    compiler: 'avr-gcc',
    binutils: 'avr-',
    flags: ['-mmcu=atmega328p'],
    // two instructions for each of 16 bits, four for 32: half as much again
    flashMax: 5500,
    ramMax: 400,
    undefinedAllowed: /^__(adddi3|ashldi3|umulhisi3|do_clear_bss|do_copy_data)/,
  },
]

const VARIANTS: readonly (readonly [string, readonly string[]])[] = [
  ['all but the will', []],
  ['and the will', ['HW_WITH_WILL=1']],
  ['publish alone', ['HW_WITH_SUBSCRIBE=0', 'HW_WITH_SLEEP=0', 'HW_WITH_TIME=0']],
  ['over UDP', ['HW_BARE=1']],
]

describe.each(TARGETS)('on $name', (target) => {
  const skipped = isSkipped(`the size on ${target.name}`, target.compiler)
  let directory: ReturnType<typeof buildDirectory>
  beforeAll(() => {
    directory = buildDirectory()
  })
  afterAll(() => directory.remove())

  function built(defines: readonly string[]): string {
    const object = join(directory.path, 'size.o')
    const flags = [...target.flags, '-std=c99', ...WARNINGS, '-Os', '-ffreestanding', '-fno-common']
    const source = join(import.meta.dirname, 'size.c')
    compile(target.compiler, [
      ...flags,
      ...defines.map((each) => `-D${each}`),
      '-I',
      DEVICE,
      '-c',
      source,
      '-o',
      object,
    ])
    return object
  }

  const tool = (name: string, ...args: string[]) =>
    execFileSync(`${target.binutils}${name}`, args, { encoding: 'utf8' })

  function sizes(object: string): { flash: number; ram: number } {
    const of = (pattern: RegExp) =>
      [...tool('size', '-A', object).matchAll(/^(\.\S+)\s+(\d+)/gm)]
        .filter(([, section]) => pattern.test(section!))
        .reduce((sum, [, , bytes]) => sum + Number(bytes), 0)
    // an AVR's object has .bss in COMMON or in .bss.NAME as well
    return { flash: of(/^\.(text|rodata|data)/), ram: of(/^\.(data|bss)/) }
  }

  it.skipIf(skipped)(`takes less than ${target.flashMax} B of flash and ${target.ramMax} B of RAM`, () => {
    for (const [name, defines] of VARIANTS) {
      const { flash, ram } = sizes(built(defines))
      console.log(`${target.name}, ${name}: ${flash} B of flash, ${ram} B of RAM`)
      expect(flash).toBeGreaterThan(1000)
      expect(flash).toBeLessThan(target.flashMax)
      expect(ram).toBeGreaterThan(128)
      expect(ram).toBeLessThan(target.ramMax)
    }
  })

  it.skipIf(skipped)('needs no libc: nothing but helpers of the compiler', () => {
    const names = tool('nm', '-u', built([])).match(/\w+$/gm) ?? []
    expect(names.filter((name) => name !== 'U' && !target.undefinedAllowed.test(name))).toEqual([])
  })
})
