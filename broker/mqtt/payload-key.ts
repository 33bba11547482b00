/** Keys that stand in the payload: a JSON pointer (RFC 6901) to a text, number or boolean. */

/** @returns the key, or why there is none: then the event goes to the dead letters. */
export function payloadKey(payload: Uint8Array, pointer: string): Buffer | string {
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString('utf8'))
  } catch {
    return 'the payload is not JSON'
  }
  for (const token of pointer.split('/').slice(1)) {
    const name = token.replaceAll('~1', '/').replaceAll('~0', '~')
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) {
      return `the payload has nothing at ${pointer}`
    }
    value = (value as Record<string, unknown>)[name]
  }
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') {
    return Buffer.from(String(value))
  }
  return `what the payload has at ${pointer} is not a text, number or boolean`
}
