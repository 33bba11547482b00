/** More readers on the control socket than the broker bears: the next is refused with a reason, and who asks how the broker is gets in. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { ControlClient } from '../../../../broker/operations/control/control-client.ts'
import { ControlServer } from '../../../../broker/operations/control/control-server.ts'
import { controlRoutes } from '../../../../broker/operations/control/routes.ts'
import { until } from '../../log/support.ts'
import { FakeLog, fakeOperations } from '../fake-log.ts'

const READERS_MAX = 24

let directory: string
let server: ControlServer
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'headwater-readers-'))
  server = await ControlServer.start(directory, controlRoutes(fakeOperations(new FakeLog({ events: 1 }))))
})
afterEach(async () => {
  await server.close()
  rmSync(directory, { recursive: true, force: true })
})

it('twenty-four follow; one more is told so, status is answered, and a place that is left is taken', async () => {
  const client = await ControlClient.of(directory)
  const leaving = new AbortController()
  const follow = (signal: AbortSignal) => {
    const pieces = client.pieces('GET', '/read', { stream: 'events', follow: true }, signal)
    return { pieces, ended: pieces.next().catch((error: Error) => error) }
  }
  const first = new AbortController()
  const followers = [first.signal, ...Array(READERS_MAX - 1).fill(leaving.signal)].map(follow)
  let refusal: unknown
  const isRefused = async () => {
    const late = await client.json('GET', '/read', { stream: 'events' }).catch((error: unknown) => error)
    refusal = late
    return (late as { code?: string } | undefined)?.code === 'HW_HTTP_LIMIT'
  }
  while (!(await isRefused())) await new Promise((resolve) => setTimeout(resolve, 5))
  expect(refusal).toMatchObject({ hint: 'end one of them, or try again later', retryable: true })
  expect(await client.json('GET', '/status')).toMatchObject({ running: true })
  first.abort()
  await followers[0]!.ended
  let isOpen = false
  await until(() => {
    void client.json('GET', '/read', { stream: 'events', count: 0 }).then(
      () => {},
      (error: Error & { code?: string }) => {
        // an answer without a line is no JSON: it was let in
        isOpen ||= error.code !== 'HW_HTTP_LIMIT'
      },
    )
    return isOpen
  }, 'the place is free')
  leaving.abort()
  await Promise.all(followers.map(({ ended }) => ended))
})
