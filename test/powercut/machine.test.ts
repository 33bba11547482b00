/** Machines that do not come up, played by a few lines of Node: what is cut and judged on one that does is `npm run test:arm`. */
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import { seededRandom, testSeed } from '../support/random.ts'
import type * as MachineModule from './machine.ts'
import { Place, whatIsMissing } from './system.ts'

// the disk's process is compiled
const COMPILED = fileURLToPath(new URL('../../dist/test/powercut/machine.js', import.meta.url))
const DISK_BYTES = 1024 * 1024
const RUN_MS_MAX = 60_000

const missing = whatIsMissing()

describe.skipIf(missing !== null)('a machine that lets nobody in', () => {
  let machine: MachineModule.Machine | undefined
  let place: Place
  afterEach(() => machine?.close({ keep: false }))

  async function made(script: string) {
    if (!existsSync(COMPILED)) throw new Error('run `npm run build` first: the harness is compiled')
    const { Machine, SILENT_MAX } = (await import(COMPILED)) as typeof MachineModule
    place = new Place(mkdtempSync(Place.prefix()))
    writeFileSync(place.pidFile, String(process.pid))
    const disk = join(place.directory, 'installed')
    writeFileSync(disk, Buffer.alloc(DISK_BYTES))
    const seed = testSeed()
    const options = {
      disk,
      diskBytes: DISK_BYTES,
      command: [process.execPath, '-e', `console.log('on');${script}`],
      seed,
      patience: { servedMsMax: 500, passedMsMax: RUN_MS_MAX },
    }
    machine = await Machine.create(place, options, seededRandom(seed))
    return { machine, SILENT_MAX }
  }

  const boots = () => readFileSync(join(place.directory, 'console'), 'utf8').match(/on/g)!.length

  it(
    'and says nothing is booted again after a cut, so many times and no more',
    async () => {
      const { machine, SILENT_MAX } = await made('setInterval(() => {}, 1000)')
      await expect(machine.cycle('work')).rejects.toThrow('the machine says nothing')
      expect(machine.silent).toBe(SILENT_MAX)
      expect(boots()).toBe(SILENT_MAX + 1)
    },
    RUN_MS_MAX,
  )

  it(
    'and says that it is well is a fault of the broker’s at once',
    async () => {
      const { machine } = await made(
        `require('node:net').createServer((socket) => socket.end('headwater is active')).listen(@SAYS@, '127.0.0.1')`,
      )
      await expect(machine.cycle('work')).rejects.toThrow('headwater is active')
      expect(machine.silent).toBe(0)
      expect(boots()).toBe(1)
    },
    RUN_MS_MAX,
  )

  it(
    'because it has ended is not waited for',
    async () => {
      const { machine } = await made('')
      await expect(machine.cycle('work')).rejects.toThrow('the machine ended')
    },
    RUN_MS_MAX,
  )
})
