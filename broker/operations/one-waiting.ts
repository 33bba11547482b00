/** Work that is asked for more often than it can be done: one runs, one waits, and who asks meanwhile gets what the waiting one brings. */
export function oneWaiting<T>(work: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | null = null
  let waiting: Promise<T> | null = null
  const begin = (): Promise<T> => {
    const begun = work()
    running = begun
    const ended = () => {
      if (running === begun) running = null
    }
    begun.then(ended, ended)
    return begun
  }
  return () => {
    // first of all: when one has ended its place is free for a moment, and belongs to who waits
    if (waiting !== null) return waiting
    if (running === null) return begin()
    const next = () => {
      waiting = null
      return begin()
    }
    waiting = running.then(next, next)
    return waiting
  }
}
