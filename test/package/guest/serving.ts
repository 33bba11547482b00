/** https://packages.example.org inside of a guest: a server of this process, behind a socket that the guest's systemd listens on. */
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Mirror } from '../mirror.ts'
import type { Guest } from './guest.ts'

export const HOST = 'packages.example.org'

/** Its files lie in /test/www inside; those of `files` there are links to the real machine's. */
export async function serveIn(guest: Guest, files: Readonly<Record<string, string>> = {}): Promise<Mirror> {
  const folder = join(guest.home, 'www')
  mkdirSync(folder)
  chmodSync(folder, 0o1777)
  for (const [path, target] of Object.entries(files)) {
    mkdirSync(join(folder, path, '..'), { recursive: true })
    symlinkSync(target, join(folder, path))
  }
  const socket = join(guest.home, 'mirror.socket')
  const mirror = await Mirror.listen(HOST, socket, folder)
  writeFileSync(join(guest.home, 'authority.crt'), mirror.authority)
  await guest.done(
    `echo '127.0.0.1 ${HOST}' >>/etc/hosts
    cp /test/authority.crt /usr/local/share/ca-certificates/example.crt
    update-ca-certificates
    systemd-run --unit=mirror --socket-property=ListenStream=127.0.0.1:443 /lib/systemd/systemd-socket-proxyd /test/mirror.socket`,
    'root',
  )
  return mirror
}
