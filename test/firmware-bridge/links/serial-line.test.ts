import { describe, expect, it } from 'vitest'
import { SerialLine } from '../../../firmware-bridge/links/serial-line.ts'
import { PortFailure } from '../../../firmware-bridge/links/serial-port.ts'
import { eventually, ManualClock, RecordingLog } from '../support.ts'
import { serialConfig } from './config.ts'
import { FakePorts } from './fake-port.ts'

function lineOn(ports: FakePorts, sendBufferBytesMax = 100) {
  const clock = new ManualClock()
  const log = new RecordingLog()
  const told: string[] = []
  const advised: string[] = []
  const host = {
    clock,
    log,
    random: () => 1,
    openPort: ports.open,
    advise: async (port: string, { kind }: PortFailure) => {
      advised.push(kind)
      return `${port} is ${kind}`
    },
    stableNameOf: async () => null,
  }
  const line = new SerialLine(serialConfig('/dev/x'), sendBufferBytesMax, host, {
    onOpen: () => told.push('open'),
    onData: (chunk) => told.push(Buffer.from(chunk).toString()),
    onGone: (reason) => told.push(`gone: ${reason}`),
  })
  return { clock, log, told, advised, line }
}

/** Lets time pass up to the next try, and the try happen. */
async function nextTry(ports: FakePorts, clock: ManualClock): Promise<number> {
  const [wait] = clock.waits
  const { tries } = ports
  clock.advance(wait!)
  await eventually(() => expect(ports.tries).toBe(tries + 1))
  await eventually(() => expect(clock.waits.length > 0 || ports.opened.length > 0).toBe(true))
  return wait!
}

describe('a serial line', () => {
  it('looks for a port that is not there every second', async () => {
    const ports = new FakePorts()
    ports.failures.push(...Array.from({ length: 5 }, () => new PortFailure('absent', '')))
    const { clock, line, log } = lineOn(ports)
    await line.start()
    const waits: number[] = []
    while (ports.opened.length === 0) waits.push(await nextTry(ports, clock))
    expect(waits).toEqual([1000, 1000, 1000, 1000, 1000])
    expect(log.lines.map(({ message }) => message)).toEqual([
      'serial port /dev/x is absent',
      'serial port /dev/x is open at 115200 baud after 5 tries',
    ])
  })

  it('does not look what else there is each time that its port is still not there', async () => {
    const ports = new FakePorts()
    ports.failures.push(...Array.from({ length: 62 }, () => new PortFailure('absent', '')))
    const { clock, line, advised } = lineOn(ports)
    await line.start()
    while (ports.opened.length === 0) await nextTry(ports, clock)
    expect(advised.length).toBe(3)
    ports.last.listener.onClosed('unplugged')
    ports.failures.push(new PortFailure('absent', ''))
    await nextTry(ports, clock)
    await eventually(() => expect(advised.length).toBe(4))
  })

  it('waits longer and longer, to a limit, for one that is refused', async () => {
    const ports = new FakePorts()
    ports.failures.push(...Array.from({ length: 10 }, () => new PortFailure('busy', '')))
    const { clock, line, log } = lineOn(ports)
    await line.start()
    expect(line.trouble).toBe('/dev/x is busy')
    const waits: number[] = []
    while (ports.opened.length === 0) waits.push(await nextTry(ports, clock))
    expect(waits).toEqual([250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000])
    expect(log.matching('busy').length).toBe(1)
    expect(line.trouble).toBeNull()
  })

  it('tells each new trouble once', async () => {
    const ports = new FakePorts()
    const kinds = ['absent', 'absent', 'permission', 'permission', 'busy', 'unusable'] as const
    ports.failures.push(...kinds.map((kind) => new PortFailure(kind, '')))
    const { clock, line, log } = lineOn(ports)
    await line.start()
    while (ports.opened.length === 0) await nextTry(ports, clock)
    expect(log.matching('/dev/x is').map(({ message }) => message.split(' ').at(-1))).toEqual([
      'absent',
      'permission',
      'busy',
      'unusable',
      'tries',
    ])
  })

  it('that was away for long is taken up as fast as ever when it is lost again at once', async () => {
    const ports = new FakePorts()
    ports.failures.push(...Array.from({ length: 40 }, () => new PortFailure('absent', '')))
    const { clock, line } = lineOn(ports)
    await line.start()
    while (ports.opened.length === 0) await nextTry(ports, clock)
    await eventually(() => expect(line.isOpen).toBe(true))
    ports.last.listener.onClosed('reset into its boot loader')
    expect(clock.waits).toEqual([250])
  })

  it('that fails again and again after it was opened is opened less and less often; a steady one at once', async () => {
    const ports = new FakePorts()
    const { clock, line, told } = lineOn(ports)
    await line.start()
    const waits: number[] = []
    const lose = async (afterMs: number) => {
      clock.advance(afterMs)
      ports.last.listener.onClosed('unplugged')
      waits.push(clock.waits[0]!)
      const { length } = ports.opened
      clock.advance(waits.at(-1)!)
      await eventually(() => expect(ports.opened.length).toBe(length + 1))
      await eventually(() => expect(line.isOpen).toBe(true))
    }
    for (const afterMs of [0, 10, 4000, 0, 60_000, 0]) await lose(afterMs)
    expect(waits).toEqual([250, 500, 1000, 2000, 250, 500])
    expect(told.filter((what) => what === 'gone: unplugged').length).toBe(6)
    expect(line.counters).toMatchObject({ opened: 7, lost: 6 })
  })

  it('gathers what is written meanwhile, and takes no more than its buffer holds', async () => {
    const ports = new FakePorts()
    const { line } = lineOn(ports, 100)
    await line.start()
    ports.last.hold()
    expect(line.write(Buffer.alloc(60, 1))).toBe(true)
    // the first is with the system, the buffer is free again
    expect(line.write(Buffer.alloc(60, 2))).toBe(true)
    expect(line.write(Buffer.alloc(41, 3))).toBe(false)
    expect(line.write(Buffer.alloc(40, 4))).toBe(true)
    expect(line.write(Buffer.alloc(1, 5))).toBe(false)
    ports.last.release!()
    await eventually(() => expect(line.counters.bytesSent).toBe(160))
    expect(ports.last.written).toEqual([
      Buffer.alloc(60, 1),
      Buffer.concat([Buffer.alloc(60, 2), Buffer.alloc(40, 4)]),
    ])
    expect(line.write(Buffer.alloc(100, 6))).toBe(true)
    await eventually(() => expect(line.counters.bytesSent).toBe(260))
    expect(ports.last.written.at(-1)).toEqual(Buffer.alloc(100, 6))
  })

  it('does not send to a new device what the lost one did not take', async () => {
    const ports = new FakePorts()
    const { clock, line } = lineOn(ports)
    await line.start()
    const first = ports.last
    first.hold()
    line.write(Buffer.from('one'))
    line.write(Buffer.from('two'))
    first.listener.onClosed('unplugged')
    expect(line.write(Buffer.from('lost'))).toBe(false)
    clock.advance(1000)
    await eventually(() => expect(line.isOpen).toBe(true))
    first.release!()
    expect(line.write(Buffer.from('three'))).toBe(true)
    await eventually(() => expect(ports.last.written).toEqual([Buffer.from('three')]))
    expect(first.written).toEqual([Buffer.from('one')])
  })

  it('is lost when a write fails', async () => {
    const ports = new FakePorts()
    const { clock, line, told } = lineOn(ports)
    await line.start()
    ports.last.write = async () => {
      throw new Error('EIO')
    }
    line.write(Buffer.from('x'))
    await eventually(() => expect(told).toEqual(['open', 'gone: EIO']))
    expect(ports.last.isClosed).toBe(true)
    clock.advance(1000)
    await eventually(() => expect(told).toEqual(['open', 'gone: EIO', 'open']))
  })

  it('that is paused stays so when it is opened again', async () => {
    const ports = new FakePorts()
    const { clock, line } = lineOn(ports)
    await line.start()
    line.pause()
    expect(ports.last.isPaused).toBe(true)
    ports.last.listener.onClosed('unplugged')
    clock.advance(1000)
    await eventually(() => expect(ports.opened.length).toBe(2))
    await eventually(() => expect(ports.last.isPaused).toBe(true))
    line.resume()
    expect(ports.last.isPaused).toBe(false)
  })

  it('that is stopped while it waits does not open its port any more', async () => {
    const ports = new FakePorts()
    ports.failures.push(new PortFailure('absent', ''))
    const { clock, line } = lineOn(ports)
    await line.start()
    await line.stop()
    clock.advance(100_000)
    expect(ports.tries).toBe(1)
    expect(clock.waits).toEqual([])
  })
})
