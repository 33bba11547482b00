import { expect, it } from 'vitest'
import { loadLibrary } from '../../../sync/kafka/library.ts'

it("finds in the library's files the same things that its index exports", async () => {
  const library = await loadLibrary()
  const whole = new Map<string, unknown>(Object.entries(await import('@platformatic/kafka')))
  const { Connection, Reader, Writer, protocolErrorsCodesById, ...apis } = library
  for (const [name, value] of Object.entries({ Connection, Reader, Writer, protocolErrorsCodesById })) {
    expect(value, name).toBe(whole.get(name))
  }
  for (const [name, { api }] of Object.entries(apis)) {
    expect(api, name).toBe((whole.get(name) as { api: unknown }).api)
  }
})
