/** What is wrong with a serial port and the way out, in one line. Looks at the machine only after a failure. */
import { readdir, readFile, readlink, realpath, stat } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { findPorts } from './port-discovery.ts'
import type { PortFailure } from './serial-port.ts'

const PORTS_SHOWN = 4
/** Debian's group of serial ports. */
const USUAL_GROUP = 'dialout'

export type Advise = (port: string, failure: PortFailure) => Promise<string>

export const adviseHere: Advise = async (port, failure) => {
  switch (failure.kind) {
    case 'absent':
      return `${port} is not there: plug it in, or name another port; ${await portsThere()}`
    case 'permission':
      return `${port}: permission denied; ${await permissionWayOut(port)}`
    case 'busy':
      return `${port} is used by ${await holderOf(port)}: stop it, or take this link out of the configuration; a port has one reader`
    case 'unusable':
      return `${port} does not work: ${failure.message}; check the port's name and its settings`
  }
}

async function portsThere(): Promise<string> {
  const ports = await findPorts()
  if (ports.length === 0) return 'this machine shows no serial port now'
  const names = ports.slice(0, PORTS_SHOWN).map(({ name }) => name)
  const more = ports.length > PORTS_SHOWN ? ` and ${ports.length - PORTS_SHOWN} more` : ''
  return `there are ${names.join(', ')}${more}`
}

async function permissionWayOut(port: string): Promise<string> {
  const group = await groupOf(port)
  const user = userName()
  return `it belongs to group ${group}: \`sudo usermod -aG ${group} ${user}\`, then log in again or restart the service`
}

/** A user of a container may have a number and no name. */
function userName(): string {
  try {
    return userInfo().username
  } catch {
    return `#${process.getuid?.()}`
  }
}

async function groupOf(port: string): Promise<string> {
  const { gid } = await stat(port).catch(() => ({ gid: -1 }))
  const groups = await readFile('/etc/group', 'utf8').catch(() => '')
  const line = groups.split('\n').find((each) => each.split(':')[2] === String(gid))
  // root's own group is no way out
  return gid <= 0 || line === undefined ? USUAL_GROUP : line.split(':')[0]!
}

/** The process that has the port, as far as this user may see: the one that locked it, else one that has it open. */
async function holderOf(port: string): Promise<string> {
  const device = await realpath(port).catch(() => port)
  const lockers = await lockersOf(device)
  const processes = (await readdir('/proc').catch(() => [])).filter((name) => /^[0-9]+$/.test(name))
  for (const pid of [...lockers, ...processes]) {
    if (!(await hasOpen(pid, device))) continue
    if (Number(pid) === process.pid) return 'another link of this bridge'
    const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')
    return `process ${pid} (${name.trim()})`
  }
  return 'another process'
}

/** `1: FLOCK  ADVISORY  WRITE 1234 00:1a:5 0 EOF`: the fifth is the process, the sixth ends with the file's inode. */
async function lockersOf(device: string): Promise<string[]> {
  const { ino } = await stat(device).catch(() => ({ ino: -1 }))
  const locks = await readFile('/proc/locks', 'utf8').catch(() => '')
  const fields = locks.split('\n').map((line) => line.trim().split(/\s+/))
  return fields.flatMap(([, , , , pid, file]) => (file?.endsWith(`:${ino}`) ? [pid!] : []))
}

async function hasOpen(pid: string, device: string): Promise<boolean> {
  const files = await readdir(`/proc/${pid}/fd`).catch(() => [])
  for (const file of files) {
    if ((await readlink(`/proc/${pid}/fd/${file}`).catch(() => '')) === device) return true
  }
  return false
}
