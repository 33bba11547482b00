/** One case of the log's benchmark, a process of its own: memory, processor time and bytes written are the case's alone. */
import { onJob } from '../children.ts'
import { append } from './append.ts'
import type { LogJob, LogResult } from './job.ts'
import { appendToFile } from './plain-file.ts'
import { open, readBatches, readCommits } from './read.ts'

onJob((job: LogJob): Promise<LogResult> => {
  switch (job.kind) {
    case 'append':
      return append(job.directory, job.shape, job.commits)
    case 'append to a file':
      return appendToFile(job.directory, job.shape, job.commits)
    case 'read batches':
      return readBatches(job.directory)
    case 'read in commit order':
      return readCommits(job.directory)
    case 'start':
      return open(job.directory)
  }
})
