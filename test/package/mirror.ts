/** A server of packages with TLS, as an operator may have one: what it serves is given to it, and how it fails. */
import { once } from 'node:events'
import { createReadStream, statSync } from 'node:fs'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join, normalize } from 'node:path'
import { createAuthority, createCertificate } from '../support/certificates.ts'

/** What a path answers: bytes; bytes of which the first half comes, and then the connection ends; another place; nothing. */
export type Answer =
  | 'nothing'
  | { readonly body: Buffer | string }
  | { readonly half: Buffer }
  | { readonly movedTo: string }

export class Mirror {
  /** PEM: who trusts it trusts this server. */
  readonly authority: string
  readonly answers = new Map<string, Answer>()
  /** What was asked for, in its order. */
  readonly asked: string[] = []
  readonly #server: Server

  private constructor(name: string, folder: string | undefined) {
    const authority = createAuthority('Example Authority')
    const { cert, key } = createCertificate({ name, names: [name], issuer: authority })
    this.authority = authority.cert
    this.#server = createServer({ cert, key }, (request, response) => {
      const path = request.url ?? ''
      this.asked.push(path)
      const answer = this.answers.get(path)
      const file = folder === undefined ? undefined : join(folder, normalize(path))
      if (answer === undefined && file !== undefined && statSync(file, { throwIfNoEntry: false })?.isFile())
        createReadStream(file).pipe(response)
      else if (answer === undefined) response.writeHead(404).end('not there')
      else if (answer === 'nothing') return
      else if ('body' in answer) response.end(answer.body)
      else if ('movedTo' in answer) response.writeHead(302, { location: answer.movedTo }).end()
      else {
        const { half } = answer
        response.writeHead(200, { 'content-length': half.length })
        response.write(half.subarray(0, half.length / 2), () => response.destroy())
      }
    })
  }

  /**
   * @param place of a Unix socket; a free port of the loopback where none is given
   * @param folder whose files are served where `answers` has nothing
   */
  static async listen(name: string, place?: string, folder?: string): Promise<Mirror> {
    const mirror = new Mirror(name, folder)
    if (place === undefined) mirror.#server.listen(0, '127.0.0.1')
    else mirror.#server.listen(place)
    await once(mirror.#server, 'listening')
    return mirror
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.#server.closeAllConnections()
    await closed
  }
}
