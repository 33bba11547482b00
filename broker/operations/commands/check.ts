/**
 * `headwater check`: whether `start` would work with this configuration, here and now. It tries the ports and the
 * directories, changes nothing, and names the line of the file for each problem.
 */
import { sep } from 'node:path'
import { formatListenAddress, parseListenAddress } from '../../config/address.ts'
import type { LoadedConfig } from '../../config/load.ts'
import type { Config } from '../../config/schema.ts'
import { HeadwaterError, StreamDefinitionError } from '../../errors.ts'
import { mergeCatalog, readCatalog } from '../../log/catalog.ts'
import { silentSink } from '../../log-sink.ts'
import { listenerOptions } from '../../mqtt/configured.ts'
import { readCertificates } from '../../mqtt/door/certificates.ts'
import { isDataDirectory, namesInUse, openDataDirectory, otherEdge } from '../../storage/data-directory.ts'
import { type FileSystem, fileSystemOf } from '../../storage/file-system.ts'
import { nodeDisk } from '../../storage/node-disk.ts'
import { refuseRootOnOthers } from '../../storage/owner.ts'
import { ExitCode, exitCodeFor } from '../exit-codes.ts'
import { TokenFile } from '../http/token-file.ts'
import type { BrokerStatus, StatusReport } from '../operations.ts'
import { nearestExisting, probeDirectory, probeListen } from '../probes.ts'
import type { Output } from '../terminal/output.ts'
import { printable } from '../terminal/printable.ts'
import { printFacts, printTable } from '../terminal/table.ts'
import type { CommandContext, ConfigOptions } from './context.ts'
import { runningBroker } from './log-access.ts'

interface Problem {
  readonly code: string
  readonly place: string
  readonly message: string
  readonly hint: string
}

export async function runCheck(
  context: CommandContext,
  options: ConfigOptions & { json: boolean },
): Promise<number> {
  const loaded = await context.loadConfig(options)
  if (!loaded.ok) {
    const problems = loaded.problems.map(({ code, place, message, hint }) => ({
      code,
      place,
      message: message.slice(place.length + 2),
      hint,
    }))
    return report(context, options, {
      problems,
      file: loaded.file,
      loaded: null,
      running: null,
      fileSystem: null,
    })
  }
  const running = await brokerOn(loaded.config.data)
  const data = running === null ? await dataProblems(loaded) : edgeProblems(loaded, running)
  const problems = [
    ...data,
    ...(running === null ? await portProblems(loaded) : []),
    ...(await httpProblems(loaded, running !== null)),
    ...(await certificateProblems(loaded)),
    ...(await streamProblems(loaded)),
    ...(await archiveProblems(loaded, data.length > 0)),
  ]
  const fileSystem = await fileSystemOf(
    await nearestExisting(loaded.config.data).catch(() => loaded.config.data),
  )
  return report(context, options, { problems, file: loaded.file, loaded, running, fileSystem })
}

async function brokerOn(directory: string): Promise<BrokerStatus | null> {
  const client = await runningBroker(directory)
  return client === null ? null : (await client.json<StatusReport>('GET', '/status')).broker
}

async function portProblems({ config, place }: LoadedConfig): Promise<Problem[]> {
  const problems: Problem[] = []
  for (const [index, { address }] of config.mqtt.listeners.entries()) {
    const parsed = parseListenAddress(address)
    if (typeof parsed === 'string') continue
    const error = await probeListen(parsed)
    if (error !== null) problems.push(problemOf(error, place(['mqtt', 'listeners', index, 'address'])))
  }
  return problems
}

/** A port that nobody chose may be taken: `start` does without it then. */
async function httpProblems({ config: { http }, place, isGiven }: LoadedConfig, isRunning: boolean) {
  const problems: Problem[] = []
  const parsed = http.address === null ? null : parseListenAddress(http.address)
  if (parsed === null || typeof parsed === 'string') return problems
  if (!isRunning && isGiven(['http', 'address'])) {
    const error = await probeListen(parsed, 'http.address')
    if (error !== null) problems.push(problemOf(error, place(['http', 'address'])))
  }
  if (http.tokenFile === undefined) return problems
  try {
    await TokenFile.open(http.tokenFile, { disk: nodeDisk, log: silentSink, monotonic: () => 0 })
  } catch (error) {
    if (!(error instanceof HeadwaterError)) throw error
    problems.push(problemOf(error, place(['http', 'tokenFile'])))
  }
  return problems
}

async function certificateProblems({ config, place }: LoadedConfig): Promise<Problem[]> {
  const problems: Problem[] = []
  for (const [index, { address, tls }] of listenerOptions(config).entries()) {
    if (tls === null) continue
    try {
      await readCertificates(nodeDisk, tls, formatListenAddress(address))
    } catch (error) {
      if (!(error instanceof HeadwaterError)) throw error
      problems.push(problemOf(error, place(['mqtt', 'listeners', index, 'tls'])))
    }
  }
  return problems
}

async function dataProblems({ config, place }: LoadedConfig): Promise<Problem[]> {
  const fault = await probeDirectory(config.data)
  if (fault !== null) {
    const message = `data directory ${config.data}: ${fault.reason}`
    return [{ code: 'HW_DATA_DIRECTORY', place: place(['data']), message, hint: fault.hint }]
  }
  const isUsed = namesInUse(await nodeDisk.list(config.data)).length > 0
  if (!isUsed && !(await isDataDirectory(nodeDisk, config.data))) return []
  try {
    await refuseRootOnOthers(config.data)
    // Takes and drops the lock, and compares version and edge; refuses the files of another program.
    const edge = { name: config.edge, isExplicit: config.edge !== 'auto', isReading: true }
    const data = await openDataDirectory(nodeDisk, config.data, edge)
    await data.facts.close()
    return []
  } catch (error) {
    if (error instanceof HeadwaterError) return [problemOf(error, place(['data']))]
    throw error
  }
}

/** What a start would find in the data directory, said by the broker that uses it. */
function edgeProblems({ config, place }: LoadedConfig, { edge, dataDirectory }: BrokerStatus): Problem[] {
  if (config.edge === 'auto' || config.edge === edge) return []
  return [problemOf(otherEdge(dataDirectory, edge, config.edge), place(['edge']))]
}

/** A stream that exists keeps its number of partitions. */
async function streamProblems({ config, place }: LoadedConfig): Promise<Problem[]> {
  const problems: Problem[] = []
  const catalog = (await readCatalog(nodeDisk, config.data).catch(() => undefined)) ?? []
  for (const [index, stream] of config.streams.entries()) {
    try {
      mergeCatalog(catalog, [stream])
    } catch (error) {
      if (!(error instanceof StreamDefinitionError)) throw error
      problems.push(problemOf(error, place(['streams', index, 'partitions'])))
    }
  }
  return problems
}

/** @param isDataFaulty what is wrong with the data directory was said already, and holds for an archive in it. */
async function archiveProblems({ config, place }: LoadedConfig, isDataFaulty: boolean): Promise<Problem[]> {
  const problems: Problem[] = []
  for (const [index, { name, directory }] of config.upstreams.entries()) {
    if (typeof directory !== 'string') continue
    if (isDataFaulty && directory.startsWith(config.data + sep)) continue
    const fault = await probeDirectory(directory)
    if (fault === null) continue
    const message = `upstream "${name}": ${fault.reason}`
    const at = place(['upstreams', index, 'directory'])
    problems.push({ code: 'HW_ARCHIVE_UNWRITABLE', place: at, message, hint: fault.hint })
  }
  return problems
}

function problemOf({ code, message, hint }: HeadwaterError, place: string): Problem {
  return { code, place, message, hint }
}

interface Findings {
  readonly problems: readonly Problem[]
  readonly file: string | null
  /** null when the configuration was refused. */
  readonly loaded: LoadedConfig | null
  readonly running: BrokerStatus | null
  /** Of the data directory. */
  readonly fileSystem: FileSystem | null
}

function report({ out, err }: CommandContext, options: { json: boolean }, findings: Findings): number {
  const { problems, file, loaded, running, fileSystem } = findings
  const warnings = [...(loaded?.warnings ?? [])]
  // what keeps `start` from working comes first, and may be the same: a file system that is read-only
  if (fileSystem?.warning && problems.length === 0) {
    warnings.push(`the data directory's file system: ${fileSystem.warning}`)
  }
  if (options.json) {
    out.json({ ok: problems.length === 0, file, problems, warnings, running: running !== null, fileSystem })
  } else {
    for (const warning of warnings) err.line(`headwater: warning: ${printable(warning)}`)
    for (const { code, place, message, hint } of problems) {
      err.line(`headwater: ${code}: ${printable(`${place}: ${message}${hint === '' ? '' : ` - ${hint}`}`)}`)
    }
    if (problems.length === 0) printSummary(out, loaded!, running)
  }
  return problems.length === 0 ? ExitCode.ok : exitCodeFor(Object.assign(new Error(), problems[0]))
}

function printSummary(out: Output, { config, file }: LoadedConfig, running: BrokerStatus | null): void {
  out.line(`${out.paint('green', 'ok')}  ${file ?? 'default configuration, no file'}`)
  const note =
    running === null ? '' : ` (in use by the running broker, pid ${running.pid}; its ports were not tried)`
  printFacts(out, [
    ['edge', config.edge],
    ['data', config.data + note],
    ['mqtt', config.mqtt.listeners.map(({ address }) => address).join(', ')],
    ['http', config.http.address ?? 'none'],
    ['upstreams', config.upstreams.map(({ name, kind }) => `${name} (${kind})`).join(', ') || 'none'],
  ])
  out.line()
  printTable(
    out,
    [{ title: 'STREAM' }, { title: 'PARTITIONS', align: 'right' }, { title: 'KEY' }, { title: 'TOPICS' }],
    config.streams.map(({ name, partitions, key, topics }) => [
      name,
      String(partitions),
      keyText(key),
      topics.join(', '),
    ]),
  )
}

function keyText(key: Config['streams'][number]['key']): string {
  if (typeof key === 'string') return key
  return 'levels' in key ? `levels ${key.levels.join(', ')}` : `pointer ${key.pointer}`
}
