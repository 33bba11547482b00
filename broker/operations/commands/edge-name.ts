/** An edge's name, as it is typed. */
import { UsageError } from '../errors.ts'

/** As in config/schema.ts, whose library a command does not load for one pattern. */
const EDGE_NAME = /^[A-Za-z0-9._-]{1,64}$/

/** @throws UsageError */
export function checkEdgeName(edge: string): void {
  if (EDGE_NAME.test(edge)) return
  throw new UsageError(`"${edge}" is no name for an edge`, 'it has 1 to 64 letters, digits, ".", "_" or "-"')
}
