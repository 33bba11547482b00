/**
 * Takes a backup of a data directory while its broker runs: a consistent cut of each chain, with the catalog, the identity and the
 * facts. The reader of the pieces sets the pace: nothing is read ahead of it.
 */
import { DATA_FORMAT, type Identity } from '../../storage/data-directory.ts'
import type { FactStore } from '../../storage/fact-store.ts'
import type { Disk } from '../../storage/store.ts'
import { VERSION } from '../../version.ts'
import { readCatalog } from '../catalog.ts'
import type { Chain } from '../chain.ts'
import { patiently } from '../whole-commits.ts'
import { ChainCopy } from './chain-copy.ts'
import { type BackupHeader, encodeFacts, encodeJson, type Fact } from './contents.ts'
import { FrameKind, FrameWriter } from './format.ts'

/** Read, checked and coded between two turns of the event loop: the broker's other work waits no longer than that. */
const STEP_BYTES = 256 * 1024

export interface BackupSource {
  readonly disk: Disk
  readonly directory: string
  readonly identity: Identity
  readonly facts: FactStore
  readonly chains: readonly Chain[]
  /** ms since 1970 */
  readonly now: () => number
  /** Bytes read at once, or one commit where that is larger. */
  readonly stepBytes?: number
}

/**
 * @returns the bytes of a backup (format.ts), a frame a piece, each valid until the next is asked for
 * @throws LogUnavailableError
 */
export async function* backup(source: BackupSource): AsyncGenerator<Buffer, void, void> {
  const { disk, directory, identity } = source
  // in this order: no fact speaks of an offset behind the cut, and the catalog names all that is before it
  const facts: Fact[][] = []
  for await (const page of source.facts.pages()) facts.push(page)
  // a chain that is opened from here on has nothing before the cut
  const chains = [...source.chains]
  const cuts = await Promise.all(chains.map((chain) => patiently(chain, () => chain.cut())))
  const streams = await readCatalog(disk, directory)
  const { edge, incarnation, createdAt } = identity
  const header: BackupHeader = {
    headwater: VERSION,
    dataFormat: DATA_FORMAT,
    edge,
    incarnation,
    createdAt,
    takenAt: new Date(source.now()).toISOString(),
    streams,
    chains: chains.map(({ name }, i) => {
      const { commit, segments } = cuts[i]!
      return { name, commit, bytes: segments.reduce((sum, { bytes }) => sum + bytes, 0) }
    }),
  }
  const frames = new FrameWriter()
  yield frames.start()
  yield frames.frame(FrameKind.header, encodeJson(header))
  for (const page of facts) yield frames.frame(FrameKind.facts, ...encodeFacts(page))
  for (const [i, chain] of chains.entries()) {
    yield* new ChainCopy(chain, cuts[i]!, frames, source.stepBytes ?? STEP_BYTES).pieces()
  }
  yield frames.frame(FrameKind.trailer, encodeJson(frames.sums))
}
