/** Suites that need a real nats-server. Where there is none they are skipped by name, and one line says why. */
import { afterEach, describe } from 'vitest'
import { natsBinary } from './binary.ts'
import { type NatsOptions, NatsServer } from './server.ts'

const { path, reason } = await natsBinary()
const isCi = !['', 'false', '0', undefined].includes(process.env.CI)
// A green build must mean that these ran.
if (path === null) process.stderr.write(`\n!!! tests on a real nats-server are SKIPPED: ${reason}\n\n`)
if (path === null && isCi) throw new Error(`tests on a real nats-server cannot run here: ${reason}`)

/** @param define gets a way to start servers that are stopped after each test */
export function describeWithNats(
  name: string,
  define: (start: (options?: NatsOptions) => Promise<NatsServer>) => void,
): void {
  if (path === null) {
    describe.skip(`${name} [no nats-server: ${reason}]`, () => define(() => NatsServer.start()))
    return
  }
  describe(name, () => {
    const servers: NatsServer[] = []
    afterEach(async () => {
      await Promise.all(servers.splice(0).map((server) => server.stop()))
    })
    define(async (options) => {
      const server = await NatsServer.start(options)
      servers.push(server)
      return server
    })
  })
}
