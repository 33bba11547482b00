import { expect, it } from 'vitest'
import { Api } from '../../../../broker/dashboard/api/api.ts'
import { ApiError, AwayError, errorText, TokenError } from '../../../../broker/dashboard/api/faults.ts'

interface Asked {
  readonly path: string
  readonly request: RequestInit
}

function apiOf(answer: () => Response | Promise<Response>, token: string | null = null) {
  const asked: Asked[] = []
  const fetch = (async (path: string, request: RequestInit) => {
    asked.push({ path, request })
    return answer()
  }) as unknown as typeof globalThis.fetch
  return { api: new Api({ fetch, token: { get: () => token } }), asked }
}

function streamed(...pieces: Uint8Array[]): Response {
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const piece of pieces) controller.enqueue(piece)
      controller.close()
    },
  })
  return new Response(body)
}

async function all<T>(lines: AsyncIterable<T[]>): Promise<T[]> {
  const found: T[] = []
  for await (const some of lines) found.push(...some)
  return found
}

const signal = new AbortController().signal

it('a question carries the token and what was asked for, and leaves out what is empty', async () => {
  const { api, asked } = apiOf(() => Response.json({ ok: true }), 'secret')
  expect(await api.get('api/v1/x', { since: 5, prefix: '', after: null, key: 'a&b' })).toEqual({ ok: true })
  expect(asked[0]!.path).toBe('api/v1/x?since=5&key=a%26b')
  expect(asked[0]!.request.headers).toEqual({ authorization: 'Bearer secret' })
})

it('a command is JSON', async () => {
  const { api, asked } = apiOf(() => Response.json({}))
  await api.post('api/v1/clients/disconnect', { clientId: 'a' })
  expect(asked[0]!.request).toMatchObject({
    method: 'POST',
    body: '{"clientId":"a"}',
    headers: { 'content-type': 'application/json' },
  })
})

it('a refusal keeps code and hint, and is one line for a person', async () => {
  const body = {
    error: { code: 'HW_UNKNOWN_CLIENT', message: 'there is no client a', hint: 'look at the list' },
  }
  const { api } = apiOf(() => Response.json(body, { status: 404 }))
  const error = await api.post('x').catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(ApiError)
  expect(error).toMatchObject({ status: 404, code: 'HW_UNKNOWN_CLIENT' })
  expect(errorText(error)).toBe('there is no client a \u2013 look at the list')
})

it('401 asks for a token, a proxy without broker and no answer at all are an absence', async () => {
  const locked = apiOf(() => new Response('', { status: 401 })).api
  await expect(locked.get('x')).rejects.toBeInstanceOf(TokenError)
  await expect(apiOf(() => new Response('<html>', { status: 502 })).api.get('x')).rejects.toBeInstanceOf(
    AwayError,
  )
  await expect(
    apiOf(() => Promise.reject(new TypeError('Failed to fetch'))).api.get('x'),
  ).rejects.toBeInstanceOf(AwayError)
  await expect(apiOf(() => new Response('<html>', { status: 500 })).api.get('x')).rejects.toThrow(
    'status 500',
  )
})

it('lines come whole, wherever the pieces were cut', async () => {
  const bytes = new TextEncoder().encode('{"a":"é\u{1f4a7}"}\n\n{"a":"two"}\n{"a":3}\n')
  for (let cut = 0; cut <= bytes.length; cut++) {
    const { api } = apiOf(() => streamed(bytes.subarray(0, cut), bytes.subarray(cut)))
    expect(await all(api.lines('GET', 'x', {}, signal))).toEqual([
      { a: 'é\u{1f4a7}' },
      { a: 'two' },
      { a: 3 },
    ])
  }
})

it('a fault after the first line is a fault, and a record that has a field of that name is none', async () => {
  const lines = '{"offset":1,"error":"text"}\n{"error":{"code":"HW_X","message":"m","hint":"h"}}\n'
  const { api } = apiOf(() => streamed(new TextEncoder().encode(lines)))
  await expect(all(api.lines('GET', 'x', {}, signal))).rejects.toMatchObject({ code: 'HW_X', hint: 'h' })
})
