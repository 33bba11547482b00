/**
 * A process for sync's crash tests: sends a fixed log to Kafka, and kills itself with SIGKILL after a given request was
 * answered.
 *
 *   node sync-child.js BOOTSTRAP NAME RECORDS METHOD COUNT      COUNT 0: runs to the end and exits with 0
 */
import { exit, kill, pid } from 'node:process'
import { decideStart } from '../../sync/checkpoint.ts'
import { EVERYTHING, Selection } from '../../sync/filter/selection.ts'
import { openLanes } from '../../sync/lanes.ts'
import { RoundBuilder } from '../../sync/round-builder.ts'
import { openKafka } from '../sync/kafka/open-kafka.ts'
import { MemoryLog } from '../sync/memory-log.ts'

const [bootstrap = '', name = '', records = '', method = '', count = ''] = process.argv.slice(2)

const log = new MemoryLog().addStream('events', 3)
for (let done = 0; done < Number(records); done += 4) log.appendMany('events', (done / 4) % 3, 4, 2)

let left = Number(count)
const upstream = openKafka(bootstrap, name, {
  async around(asked, ask) {
    const answer = await ask()
    if (asked === method && --left === 0) kill(pid, 'SIGKILL')
    return answer
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
