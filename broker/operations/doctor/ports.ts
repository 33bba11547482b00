/** Whether the addresses that the configuration names can be listened on, and by whom they are taken: by /proc, as far as it tells. */
import { formatListenAddress, type ListenAddress } from '../../config/address.ts'
import type { ListenError } from '../../errors.ts'
import { type Finding, fault, ok, warning } from './finding.ts'
import type { Machine } from './machine.ts'

const ITEM = 'port'
const LISTEN_STATE = '0A'

export interface WantedPort {
  /** Its key in the configuration. */
  readonly key: string
  readonly address: ListenAddress
  /** The broker runs without it where it is taken. */
  readonly isOptional: boolean
}

/**
 * @param brokerPid of the running broker on this data directory; null without one
 * @param tryListen null when the address is free
 */
export async function examinePorts(
  machine: Machine,
  wanted: readonly WantedPort[],
  brokerPid: number | null,
  tryListen: (address: ListenAddress) => Promise<ListenError | null>,
): Promise<Finding[]> {
  const findings: Finding[] = []
  for (const { key, address, isOptional } of wanted) {
    const wrong = isOptional ? warning : fault
    const where = formatListenAddress(address)
    if (address.port === 0) {
      findings.push(ok(ITEM, `${key} ${where}: the system chooses one`))
      continue
    }
    const error = await tryListen(address)
    if (error === null) {
      findings.push(
        brokerPid === null
          ? ok(ITEM, `${key} ${where} is free`)
          : wrong(ITEM, `${key} ${where}: the running broker does not listen there`, RESTART),
      )
      continue
    }
    const holder = await listenerOn(machine, address.port)
    if (holder !== null && holder.pid === brokerPid)
      findings.push(ok(ITEM, `${key} ${where}: the broker listens`))
    else if (holder === null && brokerPid !== null) {
      findings.push(ok(ITEM, `${key} ${where} is in use, by the running broker as it seems`))
    } else if (holder !== null) {
      const what = `${key} ${where} is taken by ${holder.name} (pid ${holder.pid})`
      findings.push(wrong(ITEM, what, `end it, or choose another address for ${key}`))
    } else findings.push(wrong(ITEM, `${key}: ${error.message}`, error.hint))
  }
  return findings
}

const RESTART = 'restart it: addresses are taken at the start'

/** The process that listens on a TCP port; null where none is seen, as without the right to look at others' files. */
export async function listenerOn(
  machine: Machine,
  port: number,
): Promise<{ readonly pid: number; readonly name: string } | null> {
  const inodes = new Set<string>()
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    for (const inode of listeningInodes((await machine.readText(table)) ?? '', port)) inodes.add(inode)
  }
  if (inodes.size === 0) return null
  for (const pid of await machine.list('/proc')) {
    if (!/^\d+$/.test(pid)) continue
    for (const descriptor of await machine.list(`/proc/${pid}/fd`)) {
      const target = await machine.linkTarget(`/proc/${pid}/fd/${descriptor}`)
      const inode = /^socket:\[(\d+)\]$/.exec(target ?? '')?.[1]
      if (inode === undefined || !inodes.has(inode)) continue
      const name = (await machine.readText(`/proc/${pid}/comm`))?.trim() ?? 'a process'
      return { pid: Number(pid), name }
    }
  }
  return null
}

/** proc(5): `sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode`; the port is in hex after the colon. */
function listeningInodes(table: string, port: number): string[] {
  return table
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => {
      const local = Number.parseInt(fields[1]?.split(':')[1] ?? '', 16)
      return fields[3] === LISTEN_STATE && local === port
    })
    .flatMap((fields) => fields[9] ?? [])
}
