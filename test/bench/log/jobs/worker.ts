/** One case of the log's benchmark, a process of its own: memory, processor time and bytes written are the case's alone. */
import { onJob } from '../../children.ts'
import type { LogJob } from '../job.ts'
import { append } from './append.ts'
import { compact, paced } from './compaction.ts'
import { appendToFile } from './plain-file.ts'
import { open, readBatches, readCommits, readInTurns } from './read.ts'
import { buildTable, fillTable } from './table.ts'

onJob((job: LogJob): Promise<object> => {
  switch (job.kind) {
    case 'append':
      return append(job)
    case 'append to a file':
      return appendToFile(job)
    case 'read batches':
      return readBatches(job.directory)
    case 'read in turns':
      return readInTurns(job.directory)
    case 'read in commit order':
      return readCommits(job.directory)
    case 'open':
      return open(job.directory)
    case 'compact':
      return compact(job)
    case 'fill a table':
      return fillTable(job)
    case 'build a table':
      return buildTable(job)
    case 'paced':
      return paced(job)
  }
})
