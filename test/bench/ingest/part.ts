/** A part of the ingest benchmark, measured by itself: its tables, its charts, and what their reader has to know. */
import type { BenchOptions } from '../options.ts'
import type { Chart } from '../plots/plots.ts'
import type { Cell } from '../progress.ts'
import type { Section } from '../report.ts'
import type { Manner } from './manner.ts'
import type { RunningServer, Server } from './server.ts'

export interface IngestOptions extends BenchOptions {
  readonly size: number
  readonly seconds: number
  /** Where charts go; true is the usual place. */
  readonly plots?: string | true
}

/** Each is measured with every load, in turns. */
export interface Contenders {
  readonly own: Server
  /** Null where none is installed. */
  readonly peer: Server | null
}

export interface PartReport {
  readonly sections: readonly Section[]
  readonly notes: readonly string[]
  readonly charts: readonly Chart[]
}

export const MANNERS: readonly Manner[] = ['plain', 'guarded']

export function serversOf({ own, peer }: Contenders): Server[] {
  return peer === null ? [own] : [own, peer]
}

export function durations({ quick, seconds }: IngestOptions) {
  return { warmSeconds: quick ? 0.5 : 1.5, seconds: quick ? Math.min(1, seconds) : seconds }
}

/** One server under one load, from its start to its end. */
export function cellOf<R>(
  name: string,
  server: Server,
  manner: Manner,
  run: (running: RunningServer) => Promise<R>,
): Cell<R> {
  return {
    name: `${name}, ${server.name}`,
    async measure() {
      const running = await server.start(manner)
      try {
        return await run(running)
      } finally {
        await running.stop()
      }
    },
  }
}

/** What was acknowledged must be kept, where it is kept at all: a server is not measured by what it loses. */
export async function checkKept(running: RunningServer, messages: number): Promise<void> {
  const kept = await running.records?.()
  if (kept !== undefined && kept !== messages) {
    throw new Error(`${messages} messages were acknowledged, and the log has ${kept}`)
  }
}
