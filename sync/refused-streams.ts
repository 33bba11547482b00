/** Streams that upstream does not take as they are, while it takes the others. */
import { UpstreamError } from './errors.ts'

/** By stream, why it is not taken. */
export type RefusedStreams = ReadonlyMap<string, UpstreamError>

/** Does what concerns one stream; an error about that stream alone goes into `refused`, and any other is thrown. */
export async function unlessRefused(
  refused: Map<string, UpstreamError>,
  work: () => Promise<void> | void,
): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!(error instanceof UpstreamError) || error.stream === null) throw error
    if (!refused.has(error.stream)) refused.set(error.stream, error)
  }
}
