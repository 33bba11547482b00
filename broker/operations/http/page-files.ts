/**
 * The dashboard's files: those that lie in its folder, by their names, so there is no path that could lead elsewhere. They are read when they are
 * asked for: the broker does not hold them.
 */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Reply } from '../control/answer.ts'
import { digestOf } from './digest.ts'

const TYPES: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
  json: 'application/json; charset=utf-8',
}
const NAME = /^[a-z0-9][a-z0-9-]*\.([a-z]+)$/
/** Written beside a file by the build; the smallest first. */
const ENCODINGS = [
  ['br', '.br'],
  ['gzip', '.gz'],
] as const

/** A page and all that it loads come from here; nothing of it runs but its own script. */
export const PAGE_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    "img-src 'self' data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; '),
}

export class PageFiles {
  readonly #directory: string
  #names: Promise<ReadonlySet<string>> | undefined

  constructor(directory: string) {
    this.#directory = directory
  }

  /** @param path of a request; `/` is index.html @returns null where there is no such file */
  async find(
    path: string,
    headers: Readonly<Record<string, string | string[] | undefined>>,
  ): Promise<Reply | null> {
    const name = path === '/' ? 'index.html' : path.slice(1)
    const [, extension] = NAME.exec(name) ?? []
    const type = extension === undefined ? undefined : TYPES[extension]
    this.#names ??= readdir(this.#directory).then(
      (names) => new Set(names),
      () => new Set(),
    )
    const names = await this.#names
    if (type === undefined || !names.has(name)) return null
    const accepted = acceptedEncodings(String(headers['accept-encoding'] ?? ''))
    const [encoding, suffix] = ENCODINGS.find(
      ([coding, ending]) => accepted.has(coding) && names.has(name + ending),
    ) ?? [null, '']
    const body = await readFile(join(this.#directory, name + suffix)).catch(() => null)
    if (body === null) return null
    const etag = `"${digestOf(body).toString('base64url').slice(0, 22)}"`
    const own = {
      ...PAGE_HEADERS,
      'cache-control': 'no-cache',
      vary: 'accept-encoding',
      etag,
      ...(encoding === null ? {} : { 'content-encoding': encoding }),
    }
    if (headers['if-none-match'] === etag) return new Reply(304, type, '', own)
    return new Reply(200, type, body, own)
  }
}

function acceptedEncodings(header: string): ReadonlySet<string> {
  const codings = header.split(',').map((part) => part.trim().split(/ *; */))
  return new Set(
    codings.filter(([, q]) => q === undefined || Number(q.slice(2)) > 0).map(([coding]) => coding!),
  )
}
