/** One contender, a process of its own. */
import { onJob } from '../children.ts'
import { prepare, replicate } from './headwater.ts'
import type { SyncJob, SyncResult } from './job.ts'
import { produce } from './peers.ts'

onJob((job: SyncJob): Promise<SyncResult> => {
  switch (job.kind) {
    case 'prepare':
      return prepare(job)
    case 'headwater':
      return replicate(job.directory, job.upstream)
    case 'peer':
      return produce(job)
  }
})
