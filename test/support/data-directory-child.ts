/**
 * A process that opens data directories for another one, because damage in them may end it. Sent a `Request`, it starts as a broker does as
 * far as identity and facts go, reads every fact, and answers with a `Started`. With `stays` it keeps the directory open.
 */
import type { LogSink } from '../../broker/log-sink.ts'
import { openDataDirectory } from '../../broker/storage/data-directory.ts'
import type { DirectoryRecovery } from '../../broker/storage/directory-recovery.ts'
import type { Identity } from '../../broker/storage/identity.ts'
import { nodeDisk } from '../../broker/storage/node-disk.ts'

export interface Request {
  readonly directory: string
  readonly stays?: boolean
}

export interface Started {
  /** Code and message of what was thrown. */
  readonly error: string | null
  readonly identity: Identity | null
  readonly recovery: DirectoryRecovery | null
  readonly facts: readonly (readonly [name: string, value: string])[]
  readonly lines: readonly string[]
}

async function start({ directory, stays = false }: Request): Promise<Started> {
  const lines: string[] = []
  const say = (message: string, fields = {}) => void lines.push(`${message} ${JSON.stringify(fields)}`)
  const sink: LogSink = { info: say, warn: say, error: say }
  try {
    const data = await openDataDirectory(nodeDisk, directory, { name: 'made-anew', isExplicit: false }, sink)
    const facts: [string, string][] = []
    for await (const page of data.facts.pages())
      for (const [name, value] of page) facts.push([name, value.toString('latin1')])
    // what a broker does next
    await data.facts.put('put by the child', Buffer.from('1'))
    if (!stays) await data.facts.close()
    return { error: null, identity: data.identity, recovery: data.recovery, facts, lines }
  } catch (error) {
    const { code, message } = error as { code?: string; message: string }
    return { error: `${code}: ${message}`, identity: null, recovery: null, facts: [], lines }
  }
}

process.on('message', (request: Request) => {
  void start(request).then((started) => process.send!(started))
})
process.on('disconnect', () => process.exit())
