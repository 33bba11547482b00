import { createServer } from 'node:net'

// Below 32768, where Linux begins to hand out ports to outgoing connections: a broker that was killed must find its
// port free when it starts again, and meanwhile its clients keep dialling.
const PORT_MIN = 12_000
const PORT_MAX = 32_000

const given = new Set<number>()

/** A loopback port that nothing listens on now and that this process did not hand out before. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const port = PORT_MIN + Math.floor(Math.random() * (PORT_MAX - PORT_MIN))
    if (given.has(port) || !(await isFree(port))) continue
    given.add(port)
    return port
  }
  throw new Error(`no free port found on 127.0.0.1 between ${PORT_MIN} and ${PORT_MAX}`)
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)))
  })
}
