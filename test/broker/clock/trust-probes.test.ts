import { describe, expect, it } from 'vitest'
import { TrustProbes } from '../../../broker/clock/trust-probes.ts'
import { DAY, Machine, T0, TIMESYNCD } from './machine.ts'

/** `chronyc -c tracking` of chrony 4.3: before a server answered, after it did, and by its own clock alone. */
const CHRONY_NOT_YET =
  '00000000,,0,0.000000000,0.000000000,0.000000000,0.000000000,0.000,0.000,0.000,1.000000000,1.000000000,0.0,Not synchronised\n'
const CHRONY_SYNCHRONIZED =
  '7F000001,127.0.0.1,9,1795320949.484678386,-0.000001373,-0.000000042,0.000000468,-0.127,0.000,0.256,0.000006239,0.000002460,1.0,Normal\n'
const CHRONY_LOCAL =
  '7F7F0101,,8,1795320972.180378080,0.000000000,0.000000000,0.000000000,0.000,0.000,0.000,0.000000000,0.000000000,0.0,Normal\n'

async function asked(machine: Machine) {
  const probes = new TrustProbes(machine)
  await probes.ask()
  return probes.look(machine.wall())
}

describe('systemd-timesyncd', () => {
  it('calls the clock synchronized by its file', () => {
    const machine = new Machine()
    const probes = new TrustProbes(machine)
    expect(probes.look(machine.wall()).timesyncd).toBe(false)
    machine.touch(TIMESYNCD)
    expect(probes.look(machine.wall()).timesyncd).toBe(true)
  })

  it('says nothing about a clock that was stepped since it touched its file, forward or backward', async () => {
    for (const step of [3 * DAY, -3 * DAY]) {
      const machine = new Machine()
      machine.touch(TIMESYNCD)
      const probes = new TrustProbes(machine)
      expect(probes.look(machine.wall()).timesyncd).toBe(true)
      await machine.pass(60_000)
      machine.step(step)
      probes.stepped(machine.wall())
      expect(probes.look(machine.wall()).timesyncd).toBe(false)
      // a clock that was set back comes by the file's time once more
      await machine.pass(3 * DAY)
      expect(probes.look(machine.wall()).timesyncd).toBe(false)
      machine.touch(TIMESYNCD)
      expect(probes.look(machine.wall()).timesyncd).toBe(true)
    }
  })

  it('stepped the clock itself, where its file was touched after the clock was last seen as it was', async () => {
    const machine = new Machine()
    const probes = new TrustProbes(machine)
    machine.synchronize(T0 + 5 * DAY)
    await machine.pass(9_000)
    probes.stepped(machine.wall() - 9_100)
    expect(probes.look(machine.wall()).timesyncd).toBe(true)
  })
})

describe('timedatectl', () => {
  it('tells the kernel’s flag', async () => {
    expect((await asked(new Machine().withSystemd(() => true))).kernel).toBe(true)
    expect((await asked(new Machine().withSystemd(() => false))).kernel).toBe(false)
  })

  it('that fails under systemd means that nothing is known yet', async () => {
    expect((await asked(new Machine().withSystemd(() => null))).kernel).toBe(false)
  })

  it('is not run where there is neither systemd nor a bus, and its failure means nothing where systemd is not', async () => {
    const machine = new Machine()
    machine.programs.set('timedatectl', () => null)
    expect((await asked(machine)).kernel).toBeNull()
    expect(machine.runs).toEqual([])
    machine.touch('/run/dbus/system_bus_socket')
    expect((await asked(machine)).kernel).toBeNull()
    expect(machine.runs).toEqual(['timedatectl'])
  })
})

describe('chrony', () => {
  const machineWith = (output: string | null) => {
    const machine = new Machine()
    machine.programs.set('chronyc', () => output)
    return machine
  }

  it('tells whether it has a server', async () => {
    expect((await asked(machineWith(CHRONY_NOT_YET))).chrony).toBe(false)
    expect((await asked(machineWith(CHRONY_SYNCHRONIZED))).chrony).toBe(true)
  })

  it('is not synchronized by its own clock, nor while it still slews seconds away', async () => {
    expect((await asked(machineWith(CHRONY_LOCAL))).chrony).toBe(false)
    const slewing = CHRONY_SYNCHRONIZED.replace('-0.000001373', '-86.400000000')
    expect((await asked(machineWith(slewing))).chrony).toBe(false)
  })

  it('that does not run says nothing; an answer of another form is none that can be trusted', async () => {
    expect((await asked(machineWith(null))).chrony).toBeNull()
    for (const text of ['', 'Normal', 'a,b,c', '506 Cannot talk to daemon']) {
      expect((await asked(machineWith(text))).chrony).toBe(false)
    }
  })

  it('is asked where the kernel’s flag is not set, because it can leave that alone', async () => {
    const machine = machineWith(CHRONY_SYNCHRONIZED).withSystemd(() => false)
    expect(await asked(machine)).toMatchObject({ kernel: false, chrony: true })
    const set = machineWith(CHRONY_SYNCHRONIZED).withSystemd(() => true)
    expect(await asked(set)).toMatchObject({ kernel: true, chrony: null })
    expect(set.runs).toEqual(['timedatectl'])
  })
})

describe('a hardware clock', () => {
  const rtcOf = (machine: Machine) => new TrustProbes(machine).look(machine.wall()).rtc

  it('counts when it set the clock at boot', () => {
    expect(rtcOf(new Machine().withRtc('rtc1'))).toBe('rtc1')
    const machine = new Machine().withRtc()
    machine.touch('/sys/class/rtc/rtc0/hctosys', '0\n')
    expect(rtcOf(machine)).toBeNull()
  })

  it('does not count where it says something else than the clock, or nothing', () => {
    expect(rtcOf(new Machine().withRtc('rtc0', 299))).toBe('rtc0')
    expect(rtcOf(new Machine().withRtc('rtc0', 302))).toBeNull()
    // a Pi 5 without its battery
    expect(rtcOf(new Machine().withRtc('rtc0', -T0 / 1000))).toBeNull()
    const machine = new Machine().withRtc()
    machine.files.delete('/sys/class/rtc/rtc0/since_epoch')
    expect(rtcOf(machine)).toBeNull()
  })
})

describe('programs', () => {
  it('are settled where there are none, and else once they have answered about the clock as it is', async () => {
    expect(new TrustProbes(new Machine()).isSettled).toBe(true)
    const machine = new Machine().withSystemd(() => true)
    const probes = new TrustProbes(machine)
    expect(probes.isSettled).toBe(false)
    await probes.ask()
    expect(probes.isSettled).toBe(true)
    probes.stepped(machine.wall())
    expect(probes.isSettled).toBe(false)
    expect(probes.look(machine.wall()).kernel).toBeNull()
  })

  it('that were asked before a step have not answered', async () => {
    const machine = new Machine().withSystemd(() => true)
    const probes = new TrustProbes(machine)
    const asking = probes.ask()
    probes.stepped(machine.wall())
    await asking
    expect(probes.isSettled).toBe(false)
    expect(probes.look(machine.wall()).kernel).toBeNull()
  })
})
