/**
 * The nats-server of the tests, in this order: HEADWATER_NATS_SERVER (a path, or `off`), one on PATH, one that Go built once
 * into the cache beside Kafka's jars:
 *
 *   ${XDG_CACHE_HOME:-~/.cache}/headwater/nats-server-<version>
 */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { cacheDirectory } from '../kafka/installation.ts'
import { withLock } from '../kafka/lock.ts'

const run = promisify(execFile)
const VERSION = 'v2.14.9'
const MODULE = `github.com/nats-io/nats-server/v2@${VERSION}`
const BUILD_MS_MAX = 600_000
const RUN_MS_MAX = 60_000

export interface NatsBinary {
  /** Null when there is none. */
  readonly path: string | null
  /** Why there is none, and what to do, in one line. */
  readonly reason: string
}

const HOW_TO_RUN = 'install nats-server (2.9 or newer) or Go, or set HEADWATER_NATS_SERVER to its path'

let found: Promise<NatsBinary> | undefined

export function natsBinary(): Promise<NatsBinary> {
  found ??= find(process.env.HEADWATER_NATS_SERVER ?? '')
  return found
}

async function find(wish: string): Promise<NatsBinary> {
  if (wish === 'off') return { path: null, reason: 'HEADWATER_NATS_SERVER=off' }
  if (wish !== '') {
    if (await runs(wish)) return { path: wish, reason: '' }
    throw new Error(`HEADWATER_NATS_SERVER=${wish} is no nats-server that runs`)
  }
  if (await runs('nats-server')) return { path: 'nats-server', reason: '' }
  const path = join(cacheDirectory(), `nats-server-${VERSION}`)
  try {
    if (!(await exists(path))) await build(path)
    return { path, reason: '' }
  } catch (error) {
    return { path: null, reason: `${(error as Error).message.split('\n')[0]}; ${HOW_TO_RUN}` }
  }
}

async function build(path: string): Promise<void> {
  await run('go', ['version'], { timeout: RUN_MS_MAX }).catch(() => {
    throw new Error('no nats-server on PATH, and no Go to build one')
  })
  await mkdir(cacheDirectory(), { recursive: true })
  await withLock(`${path}.lock`, BUILD_MS_MAX, async () => {
    if (await exists(path)) return
    process.stderr.write(`headwater tests: building ${MODULE} (a minute, once) into ${path}\n`)
    const staging = await mkdtemp(`${path}.staging-`)
    try {
      const env = { ...process.env, GOBIN: staging, CGO_ENABLED: '0', GOFLAGS: '-mod=mod' }
      await run('go', ['install', MODULE], { timeout: BUILD_MS_MAX, env, maxBuffer: 16 << 20 })
      await rename(join(staging, 'nats-server'), path)
    } finally {
      await rm(staging, { recursive: true, force: true })
    }
  })
}

function runs(path: string): Promise<boolean> {
  return run(path, ['--version'], { timeout: RUN_MS_MAX }).then(
    () => true,
    () => false,
  )
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}
