/**
 * A process for sync's crash tests: sends a fixed log to Kafka, and kills itself with SIGKILL after a given request was
 * answered, or while it is on its way.
 *
 *   node sync-child.js BOOTSTRAP NAME RECORDS METHOD COUNT [AFTER_US] [OPTIONS]
 *
 * COUNT 0: runs to the end and exits with 0. AFTER_US: kills itself so many microseconds after the request was sent. OPTIONS:
 * of the upstream, as JSON.
 */
import { exit, kill, pid } from 'node:process'
import { decideStart } from '../../sync/checkpoint.ts'
import { EVERYTHING, Selection } from '../../sync/filter/selection.ts'
import { openLanes } from '../../sync/lanes.ts'
import { RoundBuilder } from '../../sync/round-builder.ts'
import { openKafka } from '../sync/kafka/open-kafka.ts'
import { MemoryLog } from '../sync/memory-log.ts'

const [bootstrap = '', name = '', records = '', method = '', count = '', afterUs = '', options = '{}'] =
  process.argv.slice(2)

const log = new MemoryLog().addStream('events', 3)
for (let done = 0; done < Number(records); done += 4) log.appendMany('events', (done / 4) % 3, 4, 2)

/** Finer than a timer, and sockets go on meanwhile. */
async function elapsed(us: number): Promise<void> {
  const until = performance.now() + us / 1000
  while (performance.now() < until) await new Promise((resolve) => setImmediate(resolve))
}

let left = Number(count)
const upstream = openKafka(bootstrap, name, {
  options: JSON.parse(options),
  async around(asked, ask) {
    if (asked !== method) return ask()
    const request = ask()
    // its answer may come, and be an error, before the end does
    request.catch(() => {})
    // One that fails, as the first to find a coordinator does, is asked again, and does not count.
    if (afterUs === '') await request
    if (--left !== 0) return request
    if (afterUs !== '') await elapsed(Number(afterUs))
    kill(pid, 'SIGKILL')
    return request
  },
})

const recovered = await upstream.recover(log.identity, log.partitions())
const { positions } = await decideStart(log, log.partitions(), recovered, null)
const builder = new RoundBuilder(openLanes(log, new Selection(EVERYTHING), positions), positions)
for (;;) {
  await builder.fill(1500)
  const round = builder.take(1500)
  if (round === null) break
  builder.acknowledge(round, await upstream.send(round))
}
exit(0)
