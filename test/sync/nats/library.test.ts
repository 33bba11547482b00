import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'

const DIST = pathToFileURL(join(import.meta.dirname, '../../../dist/')).href
/** Creates an upstream, connects it to a port where nobody listens, and tells at each step whether the library is loaded. */
const SCRIPT = `
  import { createRequire } from 'node:module'
  import { createUpstream } from '${DIST}sync/index.js'
  import { natsConfig } from '${DIST}test/sync/nats/open-nats.js'
  const cache = createRequire(import.meta.url).cache
  const isLoaded = () => Object.keys(cache).some((file) => file.includes('@nats-io'))
  const seen = [isLoaded()]
  const upstream = await createUpstream(natsConfig('127.0.0.1:1'))
  seen.push(isLoaded())
  await upstream.recover({ edge: 'e', incarnation: 'i' }, []).catch(() => {})
  seen.push(isLoaded())
  console.log(JSON.stringify(seen))
`

it('is loaded by the first connection, not before: an edge without NATS pays nothing', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', SCRIPT])
  expect(JSON.parse(stdout)).toEqual([false, false, true])
})
