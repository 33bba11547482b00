/** The bar on standard error while a benchmark works; nothing in a pipe. */
import { SingleBar } from 'cli-progress'

export class Progress {
  readonly #bar = new SingleBar({
    format: '  {bar} {percentage}%  {step}',
    barCompleteChar: '█',
    barIncompleteChar: '░',
    barsize: 30,
    hideCursor: true,
    clearOnComplete: true,
    stream: process.stderr,
  })

  constructor(steps: number) {
    this.#bar.start(steps, 0, { step: '' })
  }

  step(name: string): void {
    this.#bar.update({ step: name })
  }

  done(): void {
    this.#bar.increment()
  }

  stop(): void {
    this.#bar.stop()
  }
}

/** One thing to measure, such as one server under one load. */
export interface Cell<R> {
  readonly name: string
  measure(): Promise<R>
}

/**
 * Measures each cell once a round, for as many rounds as there are runs: what disturbs the machine for a while then
 * disturbs all of them. @returns the results of each cell by round.
 */
export async function interleaved<R>(cells: readonly Cell<R>[], runs: number): Promise<R[][]> {
  const results: R[][] = cells.map(() => [])
  const progress = new Progress(cells.length * runs)
  try {
    for (let run = 1; run <= runs; run++) {
      for (const [index, cell] of cells.entries()) {
        progress.step(`run ${run} of ${runs}: ${cell.name}`)
        results[index]!.push(await cell.measure())
        progress.done()
      }
    }
  } finally {
    progress.stop()
  }
  return results
}
