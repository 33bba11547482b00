/** A progress bar for long work, in bytes or in something else that is counted; on a terminal only. */
import type { Output } from '../terminal/output.ts'
import { bytes, plural } from '../terminal/units.ts'
import type { FullProgress } from '../verifying.ts'

export interface BytesProgress {
  readonly bytesDone: number
  readonly bytesTotal: number
}

export interface ProgressBar {
  show(progress: BytesProgress): void
  end(): void
}

/** @param doing what is done, as in "verifying" @param amount what there is of it, for people */
export async function progressBar(err: Output, doing: string, amount = bytes): Promise<ProgressBar> {
  if (!err.canRedraw) return { show() {}, end() {} }
  const { default: cliProgress } = await import('cli-progress')
  const bar = new cliProgress.SingleBar({
    format: `${doing} {bar} {percentage}% of {size}`,
    clearOnComplete: true,
    hideCursor: true,
  })
  let started = false
  return {
    show({ bytesDone, bytesTotal }) {
      if (!started) bar.start(bytesTotal, bytesDone, { size: amount(bytesTotal) })
      else {
        bar.setTotal(bytesTotal)
        bar.update(bytesDone, { size: amount(bytesTotal) })
      }
      started = true
    },
    end() {
      if (started) bar.stop()
      started = false
    },
  }
}

/** One bar for the log, in bytes, and then one for its tables, in records. */
export async function verifyBars(
  err: Output,
  doing: string,
): Promise<{
  show(progress: FullProgress): void
  end(): void
}> {
  const log = await progressBar(err, doing)
  const tables = await progressBar(err, 'comparing tables', (records) => plural(records, 'record'))
  return {
    show(progress) {
      if ('bytesDone' in progress) return log.show(progress)
      log.end()
      tables.show({ bytesDone: progress.recordsDone, bytesTotal: progress.recordsTotal })
    },
    end() {
      log.end()
      tables.end()
    },
  }
}
