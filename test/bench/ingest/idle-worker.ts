/** Connects, subscribes each to a topic of its own, with a keep alive, and does no more. */
import { setTimeout as sleep } from 'node:timers/promises'
import { onJob } from '../children.ts'
import { memory } from '../process-usage.ts'
import type { IdleJob, IdleResult } from './idle.ts'
import { clientIdOf, topicOf } from './manner.ts'
import { subscribed } from './plain-client.ts'

const KEEP_ALIVE_SECONDS = 600
const AT_ONCE = 50

onJob(async ({ manner, connections, settleSeconds, port, serverPid }: IdleJob): Promise<IdleResult> => {
  const beforeRssBytes = memory(serverPid).rssBytes
  const sockets = []
  for (let from = 0; from < connections; from += AT_ONCE) {
    const some = Array.from({ length: Math.min(AT_ONCE, connections - from) }, (_, i) => from + i)
    const opening = some.map((i) =>
      subscribed({
        port,
        manner,
        clientId: clientIdOf(i),
        filter: topicOf(i),
        qos: 1,
        keepAlive: KEEP_ALIVE_SECONDS,
      }),
    )
    sockets.push(...(await Promise.all(opening)))
  }
  await sleep(settleSeconds * 1000)
  const lost = sockets.filter(({ destroyed, readable }) => destroyed || !readable).length
  if (lost > 0) throw new Error(`the server closed ${lost} of ${connections} connections`)
  const { rssBytes, rssPeakBytes, rssAnonBytes } = memory(serverPid)
  for (const socket of sockets) socket.destroy()
  return { beforeRssBytes, rssBytes, rssPeakBytes, rssAnonBytes }
})
