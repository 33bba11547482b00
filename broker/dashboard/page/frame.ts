/** A page that is not seen draws nothing, and its timers still go. */
const FRAME_MS_MAX = 100

/** Resolves when the page is drawn next, or would have been. */
export function nextFrame(): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, FRAME_MS_MAX)
    const request = requestAnimationFrame(done)
    function done(): void {
      clearTimeout(timer)
      cancelAnimationFrame(request)
      resolve()
    }
  })
}

/** Resolves after it, or when the signal is aborted. */
export function wait(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
    function done(): void {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
  })
}
