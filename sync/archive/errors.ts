/** What is the matter with an archive's directory or its files. */
import { UpstreamError } from '../upstream-errors.ts'

/** The archive's directory takes no data now: full, read-only, unplugged, not permitted. */
export class ArchiveUnwritableError extends UpstreamError {
  constructor(directory: string, reason: string, hint: string, cause?: unknown) {
    super('HW_ARCHIVE_UNWRITABLE', `archive ${directory}: ${reason}`, { hint, retryable: true, cause })
  }
}

/** The archive's files are not what its manifest says. */
export class ArchiveDamagedError extends UpstreamError {
  constructor(place: string, reason: string, cause?: unknown) {
    super('HW_ARCHIVE_DAMAGED', `${place}: ${reason}`, {
      hint: 'keep the directory for repair and give this upstream an empty one',
      retryable: false,
      cause,
    })
  }
}
