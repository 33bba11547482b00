import { hashPassword } from '../../../../broker/mqtt/door/password.ts'
import type { User } from '../../../../broker/mqtt/door/users.ts'
import type { Disk } from '../../../../broker/storage/store.ts'

export const LOCAL = { address: '127.0.0.1', port: 1, identity: null }
export const REMOTE = { address: '192.0.2.7', port: 1, identity: null }

export async function users(passwords: Record<string, string>): Promise<Map<string, User>> {
  const entries = Object.entries(passwords).map(async ([name, password]) => {
    return [name, { password: await hashPassword(Buffer.from(password)) }] as const
  })
  return new Map(await Promise.all(entries))
}

/** A disk of a few files that a test puts there; nothing else of it is used. */
export function filesDisk(files: Map<string, Buffer>): Disk {
  return {
    readFile: async (path: string) => files.get(path),
    replaceFile: async (path: string, bytes: Uint8Array) => void files.set(path, Buffer.from(bytes)),
  } as unknown as Disk
}
