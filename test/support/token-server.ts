/** An OAuth token endpoint on the loopback: client credentials in, signed tokens (JWT, RS256) out. */
import { type KeyObject, sign } from 'node:crypto'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Certificate } from './certificates.ts'

export interface TokenServer {
  readonly url: string
  /** Tokens that were given, oldest first. */
  readonly tokens: readonly string[]
  /** The body of each request. */
  readonly requests: readonly string[]
  /** What a client has to show; may be changed. */
  secret: string
  /** Life of the next tokens, seconds. */
  seconds: number
  stop(): Promise<void>
}

export async function startTokenServer(
  key: KeyObject,
  certificate: Certificate,
  clientId: string,
  secret: string,
): Promise<TokenServer> {
  const tokens: string[] = []
  const requests: string[] = []
  const state = { secret, seconds: 3600 }
  const answer = (request: IncomingMessage, response: ServerResponse) => {
    let body = ''
    request.setEncoding('utf8')
    request.on('data', (text: string) => {
      body += text
    })
    request.on('end', () => {
      requests.push(body)
      const wanted = `Basic ${Buffer.from(`${clientId}:${state.secret}`).toString('base64')}`
      response.setHeader('content-type', 'application/json')
      if (request.headers.authorization !== wanted) {
        response.statusCode = 401
        response.end(
          JSON.stringify({ error: 'invalid_client', error_description: 'no such client or secret' }),
        )
        return
      }
      const token = signToken(key, { sub: clientId, aud: 'kafka' }, state.seconds)
      tokens.push(token)
      response.end(JSON.stringify({ access_token: token, token_type: 'Bearer', expires_in: state.seconds }))
    })
  }
  const server: Server = createServer({ cert: certificate.cert, key: certificate.key }, answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return Object.assign(state, {
    url: `https://127.0.0.1:${port}/token`,
    tokens,
    requests,
    stop: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  })
}

/** A token as Kafka's OAuthBearerValidatorCallbackHandler of secure.ts takes it. */
export function signToken(key: KeyObject, claims: Record<string, unknown>, seconds: number): string {
  const now = Math.floor(Date.now() / 1000)
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const head = part({ alg: 'RS256', typ: 'JWT', kid: 'test' })
  const body = part({ iss: 'https://issuer.test', iat: now, exp: now + seconds, ...claims })
  const signature = sign('sha256', Buffer.from(`${head}.${body}`), key)
  return `${head}.${body}.${signature.toString('base64url')}`
}
