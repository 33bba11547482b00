/**
 * A process that appends to a log until it is killed. `node append-child.js DIRECTORY NAME SEGMENT_BYTES`
 *
 * It appends `NAME.0`, `NAME.1`, … by turns in two partitions, a few a turn of the event loop, and writes each to its standard output
 * once its commit is on disk: a line that was read is a record that must be there.
 */
import { EventLog } from '../../broker/log/event-log.ts'
import { NO_HEADERS } from '../../broker/log/record-batch.ts'
import { silentSink } from '../../broker/log-sink.ts'
import { openDataDirectory } from '../../broker/storage/data-directory.ts'
import { nodeDisk } from '../../broker/storage/node-disk.ts'

const [directory, name, segmentBytes] = process.argv.slice(2) as [string, string, string]
const options = {
  streams: [{ name: 'events', partitions: 2 }],
  segmentBytes: Number(segmentBytes),
  admittedBytesMax: 1_000_000,
  writeBufferBytes: 64 * 1024,
}
const data = await openDataDirectory(nodeDisk, directory, { name: 'edge-1', isExplicit: true })
const log = await EventLog.open(nodeDisk, data, options, silentSink)
const { chain, partitions } = log.stream('events')

let count = 0
function burst(): void {
  for (let n = 0; n < 1 + (count % 7); n++) {
    const value = `${name}.${count}`
    chain.append(
      partitions[count % 2]!,
      1000,
      null,
      Buffer.from(value.padEnd(40 + (count % 300))),
      NO_HEADERS,
    )
    chain.onCommit((error) => {
      if (error === null) process.stdout.write(`${value}\n`)
    })
    count++
  }
  if (chain.admission.isFull) void chain.admission.drained().then(() => setImmediate(burst))
  else setImmediate(burst)
}
burst()
