/** Puts the HTTP listener of a running broker together. */
import { readFile, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { parseListenAddress } from '../../config/address.ts'
import type { Config } from '../../config/schema.ts'
import { ListenError } from '../../errors.ts'
import type { LogSink } from '../../log-sink.ts'
import { OWN_FILES } from '../../own-files.ts'
import { nodeDisk } from '../../storage/node-disk.ts'
import { Guard } from '../http/guard.ts'
import { apiHandlers } from '../http/handlers.ts'
import { HttpServer } from '../http/http-server.ts'
import { PageFiles } from '../http/page-files.ts'
import { TokenFile } from '../http/token-file.ts'
import type { Operations } from '../operations.ts'

/** Bits of a file's mode: what group and others may. */
const OTHERS = 0o077

export interface HttpSettings {
  readonly config: Config['http']
  /** Somebody wrote the address: a port that is taken is a fault. */
  readonly isGiven: boolean
}

/** @returns null where none is wanted, or the address that nobody chose is taken. @throws ListenError, HttpTokenError */
export async function startHttp(
  { config, isGiven }: HttpSettings,
  operations: Operations,
  log: LogSink,
): Promise<HttpServer | null> {
  const address = config.address === null ? null : parseListenAddress(config.address)
  if (address === null || typeof address === 'string') return null
  const monotonic = () => performance.now()
  const token =
    config.tokenFile === undefined
      ? null
      : await TokenFile.open(config.tokenFile, { disk: nodeDisk, log, monotonic })
  if (config.tokenFile !== undefined) await warnOfReaders(config.tokenFile, log)
  const isGuarded = () => operations.status().mqtt.isGuarded
  const hosts = [...config.allowedHosts, ...ownNames(hostname())].map((host) => host.toLowerCase())
  const guard = new Guard({ token, hosts, isGuarded, log, monotonic })
  const handlers = apiHandlers({
    operations,
    openApi: () => readFile(OWN_FILES.openApi, 'utf8').catch(() => null),
  })
  try {
    return await HttpServer.start(address, { guard, handlers, files: new PageFiles(OWN_FILES.dashboard) })
  } catch (error) {
    if (isGiven || !(error instanceof ListenError)) throw error
    log.warn(`no dashboard and no metrics: ${error.line}; http.address: null says that none are wanted`)
    return null
  }
}

/** Who can read the file has the token. */
async function warnOfReaders(path: string, log: LogSink): Promise<void> {
  const mode = await stat(path).then(
    (found) => found.mode,
    () => 0,
  )
  if ((mode & OTHERS) === 0) return
  log.warn(`http.tokenFile ${path} can be read or changed by others: chmod 600 ${path}`)
}

/** Of this machine: nobody else can have them lead here. */
function ownNames(name: string): string[] {
  return name.includes('.') ? [name] : [name, `${name}.local`]
}
