/** A table of many keys: how long it takes to build, to find one, to pass over all, and what it takes of memory and disk. */
import { join } from 'node:path'
import { murmur2, partitionOfHash } from '../../../../broker/log/murmur2.ts'
import { NO_HEADERS } from '../../../../broker/log/record-batch.ts'
import { silentSink } from '../../../../broker/log-sink.ts'
import { nodeDisk } from '../../../../broker/storage/node-disk.ts'
import { TABLES_DIRECTORY, Tables } from '../../../../broker/tables/tables.ts'
import { Payloads } from '../../payloads.ts'
import { moment } from '../../process-usage.ts'
import { LatencyBuckets } from '../../statistics.ts'
import { QUANTILES, STREAM, type TableJob, type TableResult } from '../job.ts'
import { hastyDisk } from './hasty-disk.ts'
import { finished } from './measure.ts'
import { openBenchLog } from './opened-log.ts'

const RECORDS_PER_COMMIT = 1000
/** Coprime to any number of keys below it: each lookup is of another place. */
const STRIDE = 7_368_787

export async function fillTable({ directory, partitions, keys, recordBytes }: TableJob): Promise<object> {
  const { log, close } = await openBenchLog(directory, [{ name: STREAM, partitions }], hastyDisk)
  const stream = log.stream(STREAM)
  const payloads = new Payloads(recordBytes)
  for (let i = 0; i < keys; i++) {
    const key = keyOf(i)
    const partition = stream.partitions[partitionOfHash(murmur2(key), partitions)]!
    stream.chain.append(partition, Date.now(), key, payloads.next(), NO_HEADERS)
    if (i % RECORDS_PER_COMMIT < RECORDS_PER_COMMIT - 1 && i < keys - 1) continue
    await new Promise<void>((resolve, reject) => {
      stream.chain.onCommit((error) => (error === null ? resolve() : reject(error)))
    })
  }
  await close()
  return {}
}

export async function buildTable(job: TableJob): Promise<TableResult> {
  const { directory, keys, recordBytes, lookups } = job
  const { log, close } = await openBenchLog(directory)
  const start = moment()
  const tables = Tables.open({ disk: nodeDisk, data: directory, log, sink: silentSink }, [STREAM])
  await tables.whenBuilt(STREAM)
  const built = finished(start, { records: keys, recordBytes })
  const found = new LatencyBuckets()
  const missed = new LatencyBuckets()
  for (let i = 0; i < lookups; i++) {
    const at = (i * STRIDE) % keys
    await timed(found, tables, keyOf(at), true)
    await timed(missed, tables, keyOf(keys + at), false)
  }
  const scanStart = performance.now()
  let scanned = 0
  for await (const entries of tables.scanPages(STREAM, {})) scanned += entries.length
  if (scanned !== keys) throw new Error(`the table has ${scanned} entries, not ${keys}`)
  const scanSeconds = (performance.now() - scanStart) / 1000
  const { rssBytes, rssPeakBytes, rssAnonBytes } = finished(start, { records: 0, recordBytes: 0 })
  await tables.close()
  await close()
  return {
    ...built,
    ...{ rssBytes, rssPeakBytes, rssAnonBytes },
    tableBytes: await nodeDisk.usage(join(directory, TABLES_DIRECTORY, STREAM)),
    lookupMs: QUANTILES.map((q) => found.quantile(q) / 1000),
    missMs: QUANTILES.map((q) => missed.quantile(q) / 1000),
    scannedPerSecond: scanned / scanSeconds,
  }
}

async function timed(latency: LatencyBuckets, tables: Tables, key: Buffer, isThere: boolean): Promise<void> {
  const started = performance.now()
  const entry = await tables.get(STREAM, key)
  latency.record((performance.now() - started) * 1000)
  if ((entry !== null) !== isThere) throw new Error(`the table answers wrongly for ${key}`)
}

function keyOf(i: number): Buffer {
  return Buffer.from(`sensor-${i}`)
}
