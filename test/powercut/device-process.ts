/**
 * The process that is the disk: it serves the file under the loop device, and halts at the moment it was told. A process of its
 * own, because whoever waits for a file on this disk cannot serve it. When the harness is gone, however it ended, it takes
 * everything down.
 *
 *   node device-process.js DIRECTORY SIZE_BYTES SEED IGNORES_FLUSHES
 */
import { spawnSync } from 'node:child_process'
import { openSync, readFileSync, readSync, writeFileSync, writeSync } from 'node:fs'
import { kill, pid } from 'node:process'
import { seededRandom } from '../support/random.ts'
import type { Command, Report } from './device.ts'
import { type Answer, FuseFile, type Request } from './fuse.ts'
import { Place, tearDown } from './system.ts'
import { type Loss, VolatileDisk } from './volatile-disk.ts'

const [directory = '', sizeBytes = '', seed = '', ignoresFlushes = ''] = process.argv.slice(2)
const place = new Place(directory)
const random = seededRandom(Number(seed))
const image = openSync(place.image, 'r+')
const disk = new VolatileDisk(
  {
    read(at, bytes) {
      const buffer = Buffer.alloc(bytes)
      readSync(image, buffer, 0, bytes, at)
      return buffer
    },
    write: (at, bytes) => void writeSync(image, bytes, 0, bytes.length, at),
  },
  random,
  ignoresFlushes === 'true',
)

/** Writes and flushes since this process began. */
let operations = 0
let armed: { readonly at: number; readonly loss: Loss } | null = null
let isHalted = false
/** What came while the disk was halted: the kernel waits for its answer. */
let held: (() => void) | null = null
let isKept = false
let brokerPid = 0

const file = new FuseFile(Number(sizeBytes), onRequest, () => end())

function onRequest(request: Request, answer: Answer): void {
  if (!isHalted && request.kind !== 'read') {
    operations++
    if (armed !== null && operations >= armed.at) {
      // the operation itself was done, or it was not; nobody was told either way
      if (random.next() < 0.5) perform(request)
      halt(armed.loss)
    }
  }
  if (isHalted) held = () => answer(perform(request))
  else answer(perform(request))
}

function perform(request: Request): Buffer | undefined {
  switch (request.kind) {
    case 'read':
      return disk.read(request.at, request.bytes)
    case 'write':
      disk.write(request.at, request.data)
      return undefined
    case 'flush':
      disk.flush()
      return undefined
  }
}

function halt(loss: Loss): void {
  armed = null
  isHalted = true
  report({ is: 'cut', operations, cut: disk.cut(loss) })
}

function onCommand(command: Command): void {
  switch (command.do) {
    case 'arm':
      // the power can only be cut once: what was halted waits to be taken down
      if (disk.isCut) return
      if (command.after === 0) halt(command.loss)
      else armed = { at: operations + command.after, loss: command.loss }
      return
    case 'thaw': {
      isHalted = false
      const answer = held
      held = null
      answer?.()
      return
    }
    case 'revive':
      disk.revive()
      report({ is: 'revived' })
      return
    case 'count':
      report({ is: 'count', operations })
      return
    case 'broker':
      brokerPid = command.pid
      return
    case 'keep':
      isKept = true
      return
  }
}

function report(message: Report): void {
  if (process.connected) process.send?.(message)
}

/** Its number may be another process's by now. */
function isOurBroker(id: number): boolean {
  try {
    return id !== 0 && readFileSync(`/proc/${id}/cmdline`, 'utf8').includes(place.config)
  } catch {
    return false
  }
}

function end(): never {
  if (isOurBroker(brokerPid)) kill(brokerPid, 'SIGKILL')
  tearDown(place, isKept)
  // not `exit`: a thread waits for the kernel's next request, and would be waited for
  kill(pid, 'SIGKILL')
  throw new Error('unreachable')
}

process.on('SIGTERM', end)
process.on('disconnect', end)
process.on('message', onCommand)

writeFileSync(place.device, '')
const options = FuseFile.mountOptions(3)
const mounted = spawnSync('mount', ['-i', '-t', 'fuse', '-o', options, 'headwater-powercut', place.device], {
  stdio: ['ignore', 'ignore', 'inherit', file.fd],
})
if (mounted.status === 0) {
  file.serve()
  report({ is: 'ready' })
} else end()
