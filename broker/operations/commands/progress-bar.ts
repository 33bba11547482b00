/** A progress bar for long work, in bytes; on a terminal only. */
import type { Output } from '../terminal/output.ts'
import { bytes } from '../terminal/units.ts'

export interface BytesProgress {
  readonly bytesDone: number
  readonly bytesTotal: number
}

export interface ProgressBar {
  show(progress: BytesProgress): void
  end(): void
}

/** @param doing what is done, as in "verifying" */
export async function progressBar(err: Output, doing: string): Promise<ProgressBar> {
  if (!err.isTerminal) return { show() {}, end() {} }
  const { default: cliProgress } = await import('cli-progress')
  const bar = new cliProgress.SingleBar({
    format: `${doing} {bar} {percentage}% of {size}`,
    clearOnComplete: true,
    hideCursor: true,
  })
  let started = false
  return {
    show({ bytesDone, bytesTotal }) {
      if (!started) bar.start(bytesTotal, bytesDone, { size: bytes(bytesTotal) })
      else {
        bar.setTotal(bytesTotal)
        bar.update(bytesDone, { size: bytes(bytesTotal) })
      }
      started = true
    },
    end() {
      if (started) bar.stop()
      started = false
    },
  }
}
