import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { AccessTokens } from '../../sync/access-token.ts'
import { type Clock, systemClock } from '../../sync/clock.ts'
import { unwatchedClock } from '../../sync/clock-reading.ts'
import { Secrets } from '../../sync/secrets.ts'

const servers: Server[] = []
afterEach(() => {
  for (const server of servers.splice(0)) server.close()
})

async function endpoint(answer: (request: IncomingMessage, response: ServerResponse, count: number) => void) {
  let count = 0
  const server = createServer((request, response) => {
    request.resume().on('end', () => answer(request, response, ++count))
  })
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`
}

function client(tokenEndpoint: string, clientId = 'edge') {
  let now = 0
  const clock: Clock = { ...systemClock, monotonic: () => now }
  const secrets = new Secrets({}, null, '')
  const options = { tokenEndpoint, clientId, clientSecret: 's:e%c' }
  const tokens = new AccessTokens(options, { secrets, clock, readClock: unwatchedClock }, 'sasl.oauth')
  return { tokens, wait: (ms: number) => (now += ms) }
}

describe('access tokens', () => {
  it('serve for half their life, are fetched once however many ask, and anew after a refusal', async () => {
    const url = await endpoint((_, response, count) =>
      response.end(JSON.stringify({ access_token: `t${count}`, expires_in: 100 })),
    )
    const { tokens, wait } = client(url)
    expect(await Promise.all([tokens.token(), tokens.token()])).toEqual(['t1', 't1'])
    wait(49_000)
    expect(await tokens.token()).toBe('t1')
    wait(2000)
    expect(await tokens.token()).toBe('t2')
    tokens.drop()
    expect(await tokens.token()).toBe('t3')
  })

  it('are asked for with both parts of the login form-encoded', async () => {
    let authorization = ''
    const url = await endpoint((request, response) => {
      authorization = request.headers.authorization ?? ''
      response.end(JSON.stringify({ access_token: 't' }))
    })
    await client(url, 'edge:one').tokens.token()
    expect(Buffer.from(authorization.slice('Basic '.length), 'base64').toString()).toBe(
      'edge%3Aone:s%3Ae%25c',
    )
  })

  it('that do not come are an error with the words of the endpoint, on one line', async () => {
    const url = await endpoint((_, response, count) => {
      response.statusCode = count === 1 ? 400 : 503
      response.end(count === 1 ? JSON.stringify({ error: 'bad\nscope\u001b[31m' }) : 'down')
    })
    const { tokens } = client(url)
    const line = async () => tokens.token().catch((error) => error.line as string)
    expect(await line()).toMatch(
      /^HW_UPSTREAM_TOKEN: .*refused client edge \(HTTP 400: badscope\[31m\) - check sasl\.oauth\.clientId/,
    )
    expect(await line()).toMatch(/\(HTTP 503\) - check sasl\.oauth\.tokenEndpoint/)
  })
})
