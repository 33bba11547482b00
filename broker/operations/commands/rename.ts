/** `headwater rename`: another name for this edge, on the data directory of a broker that does not run. */
import { isDataDirectory, renameEdge } from '../../storage/data-directory.ts'
import { nodeDisk } from '../../storage/node-disk.ts'
import { refuseRootOnOthers } from '../../storage/owner.ts'
import { ExitCode } from '../exit-codes.ts'
import { type CommandContext, type ConfigOptions, dataDirectoryOf } from './context.ts'
import { checkEdgeName } from './edge-name.ts'

export async function runRename(
  context: CommandContext,
  edge: string,
  options: ConfigOptions & { json: boolean },
): Promise<number> {
  checkEdgeName(edge)
  const directory = await dataDirectoryOf(context, options)
  if (await isDataDirectory(nodeDisk, directory)) await refuseRootOnOthers(directory)
  const { from, to } = await renameEdge(nodeDisk, directory, edge)
  if (options.json) {
    context.out.json({ from, to })
    return ExitCode.ok
  }
  context.out.line(`edge "${from.edge}" is now "${to.edge}", with the new incarnation ${to.incarnation}`)
  context.out.line(
    'each Kafka upstream gets the whole log that is here, under the new name, at the next start',
  )
  context.out.line(`where the configuration names the edge, set edge: ${to.edge}`)
  return ExitCode.ok
}
