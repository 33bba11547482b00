/** The examples compile without a warning, as a firmware engineer finds them, and the bare-metal sensor runs: in QEMU, to a gateway. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { onExit } from '../../support/kafka/cleanup.ts'
import { buildDirectory, compile, DEVICE, isSkipped, type Tool, WARNINGS } from './compilers.ts'
import { Deframer, frame } from './frames.ts'
import { GatewayDouble } from './gateway-double.ts'

const BARE_METAL = join(DEVICE, 'examples/bare-metal')
const POSIX = join(DEVICE, 'examples/posix')
const SKETCH = join(DEVICE, 'examples/arduino/headwater-sensor/headwater-sensor.ino')
const READINGS = 3
const RUN_MS_MAX = 60_000

let directory: ReturnType<typeof buildDirectory>
beforeAll(() => {
  directory = buildDirectory()
})
afterAll(() => directory.remove())

const inDirectory = (name: string) => join(directory.path, name)

describe('the header', () => {
  const switches = [
    [],
    ['HW_BARE=1'],
    ['HW_WITH_WILL=1'],
    ['HW_WITH_SUBSCRIBE=0'],
    ['HW_WITH_SLEEP=0'],
    ['HW_WITH_TIME=0'],
    ['HW_WITH_SUBSCRIBE=0', 'HW_WITH_SLEEP=0', 'HW_WITH_TIME=0'],
    ['HW_MTU=40'],
    ['HW_MTU=252'],
  ]
  const source = join(import.meta.dirname, 'size.c')
  const compilers: [Tool, string[]][] = [
    ['cc', ['-std=c99']],
    ['c++', ['-std=c++11', '-x', 'c++']],
  ]
  // 32 bits, as a microcontroller's; a compiler for another processor has them elsewhere
  if (process.arch === 'x64') compilers.push(['cc', ['-std=c99', '-m32', '-ffreestanding']])

  it.each(compilers)('compiles with %s %j, whatever is compiled in', (tool, flags) => {
    if (isSkipped('the header', tool)) return
    for (const defines of switches) {
      const all = [...flags, ...WARNINGS, ...defines.map((each) => `-D${each}`), '-I', DEVICE]
      compile(tool, [...all, '-fsyntax-only', source])
    }
  })

  it('refuses a name that does not fit, and an MTU that is no message', () => {
    if (isSkipped('the header', 'cc')) return
    const program = (text: string) => [
      '-std=c99',
      '-I',
      DEVICE,
      '-fsyntax-only',
      '-include',
      'headwater.h',
      text,
    ]
    const check = (...defines: string[]) =>
      compile('cc', program(join(import.meta.dirname, 'name.c')).concat(defines.map((each) => `-D${each}`)))
    expect(() => check('NAME="plant/7"')).not.toThrow()
    expect(() => check(`NAME="${'x'.repeat(123)}"`)).toThrow(/negative/)
    expect(() => check('NAME="a"', 'HW_MTU=255')).toThrow(/HW_MTU is 40 to 252/)
  })
})

describe('the examples', () => {
  it('posix compiles', () => {
    if (isSkipped('the posix example', 'cc')) return
    compile('cc', ['-std=gnu99', ...WARNINGS, '-I', DEVICE, join(POSIX, 'main.c'), '-o', inDirectory('line')])
  })

  it('the sketch compiles as C++, where Arduino’s library is what it says', () => {
    if (isSkipped('the Arduino example', 'c++')) return
    const flags = ['-std=c++11', '-Wall', '-Wextra', '-Werror', '-x', 'c++', '-include', 'Arduino.h']
    compile('c++', [...flags, '-I', import.meta.dirname, '-I', DEVICE, '-fsyntax-only', SKETCH])
  })

  it('the documented example is 20 lines', () => {
    const text = readFileSync(join(DEVICE, 'headwater.h'), 'utf8')
    const example = /EXAMPLE\n \*\n([\s\S]*?)\n \*\n \* Nothing here waits/.exec(text)![1]!
    expect(example.split('\n').filter((line) => line.trim() !== '*').length).toBeLessThanOrEqual(20)
  })

  const boards: [string, Tool, Tool, string[], (path: string) => string[]][] = [
    [
      'Cortex-M3',
      'arm-none-eabi-gcc',
      'qemu-system-arm',
      [
        ...['-mcpu=cortex-m3', '-mthumb', '-fno-tree-loop-distribute-patterns', '-nostdlib'],
        ...['-T', join(BARE_METAL, 'lm3s6965evb.ld'), join(BARE_METAL, 'lm3s6965evb.c'), '-lgcc'],
      ],
      (path) => ['-M', 'lm3s6965evb', '-kernel', path],
    ],
    [
      'ATmega328P',
      'avr-gcc',
      'qemu-system-avr',
      ['-mmcu=atmega328p', join(BARE_METAL, 'atmega328p.c')],
      (path) => ['-M', 'uno', '-bios', path],
    ],
  ]

  it.each(boards)(
    'the bare-metal sensor publishes from a %s, and takes a command',
    async (name, compiler, qemu, flags, machine) => {
      if (isSkipped(`the sensor on ${name}`, compiler, qemu)) return
      const elf = inDirectory('sensor.elf')
      const common = ['-std=gnu99', '-Os', '-Wall', '-Wextra', '-Werror', '-ffreestanding', '-I', DEVICE]
      compile(compiler, [...common, join(BARE_METAL, 'main.c'), ...flags, '-o', elf])
      const all = ['-display', 'none', '-monitor', 'none', '-serial', 'stdio', ...machine(elf)]
      const child = spawn(qemu, all, { stdio: ['pipe', 'pipe', 'ignore'] })
      const takeBack = onExit(() => child.kill('SIGKILL'))
      const gateway = new GatewayDouble({ next: () => 1, between: (low) => low }, (message) => {
        child.stdin.write(frame(message))
      })
      gateway.commandFilter = 'plant/bench/interval'
      gateway.deliver('2')
      try {
        const deframer = new Deframer()
        const end = Date.now() + RUN_MS_MAX
        child.stdout.on('data', (chunk: Buffer) => {
          for (const message of deframer.push(chunk)) gateway.receive(message)
        })
        while (gateway.taken.length < READINGS || gateway.delivered.length === 0) {
          if (Date.now() > end) throw new Error(`only ${JSON.stringify(gateway.taken)}`)
          gateway.poll(performance.now())
          await new Promise((resolve) => setTimeout(resolve, 10))
        }
        expect(gateway.taken.slice(0, READINGS)).toEqual(
          ['20.1', '20.2', '20.3'].map((payload) => ({ topic: 'plant/bench/reading', payload })),
        )
        expect(gateway.delivered).toEqual(['2'])
        expect(deframer.damaged).toBe(0)
      } finally {
        const closed = once(child, 'close')
        child.kill('SIGKILL')
        await closed
        takeBack()
      }
    },
    RUN_MS_MAX + 10_000,
  )
})
