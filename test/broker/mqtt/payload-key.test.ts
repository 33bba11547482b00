import { describe, expect, it } from 'vitest'
import { payloadKey } from '../../../broker/mqtt/payload-key.ts'

function key(payload: string, pointer: string): string {
  const found = payloadKey(Buffer.from(payload), pointer)
  return typeof found === 'string' ? `refused: ${found}` : found.toString()
}

describe('a key in the payload', () => {
  it('is the text, number or boolean that the pointer names', () => {
    expect(key('{"id":"pump-7"}', '/id')).toBe('pump-7')
    expect(key('{"device":{"id":17}}', '/device/id')).toBe('17')
    expect(key('{"id":-1.5}', '/id')).toBe('-1.5')
    expect(key('{"on":false}', '/on')).toBe('false')
    expect(key('{"id":""}', '/id')).toBe('')
    expect(key('{"id":"ä€"}', '/id')).toBe('ä€')
    expect(key('[{"id":"a"},{"id":"b"}]', '/1/id')).toBe('b')
    expect(key('{"":"empty name"}', '/')).toBe('empty name')
  })

  it('follows the examples of RFC 6901, section 5', () => {
    const document =
      '{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\\\j":5,"k\\"l":6," ":7,"m~n":8}'
    const answers = { '/foo/0': 'bar', '/': '0', '/a~1b': '1', '/c%d': '2', '/e^f': '3', '/g|h': '4' }
    for (const [pointer, answer] of Object.entries(answers)) expect(key(document, pointer)).toBe(answer)
    expect(key(document, '/i\\j')).toBe('5')
    expect(key(document, '/k"l')).toBe('6')
    expect(key(document, '/ ')).toBe('7')
    expect(key(document, '/m~0n')).toBe('8')
    expect(key('{"~1":"x"}', '/~01')).toBe('x')
  })

  it('that is not there, or is no text, number or boolean, is refused with the reason', () => {
    expect(key('{"id":1}', '/name')).toBe('refused: the payload has nothing at /name')
    expect(key('{"id":1}', '/id/x')).toBe('refused: the payload has nothing at /id/x')
    expect(key('5', '/id')).toBe('refused: the payload has nothing at /id')
    expect(key('null', '/id')).toBe('refused: the payload has nothing at /id')
    for (const value of ['null', '{}', '[]']) {
      expect(key(`{"id":${value}}`, '/id')).toBe(
        'refused: what the payload has at /id is not a text, number or boolean',
      )
    }
  })

  it('is not found in what an object inherits', () => {
    for (const name of ['constructor', '__proto__', 'toString'])
      expect(key('{}', `/${name}`)).toMatch(/nothing at/)
  })

  it('of a payload that is not JSON is refused', () => {
    for (const payload of ['', '21.5 C', '{"id":', '\xff\xfe', '{"id":1}x']) {
      expect(key(payload, '/id')).toBe('refused: the payload is not JSON')
    }
    expect(payloadKey(Buffer.from([0x7b, 0xff, 0x7d]), '/id')).toBe('the payload is not JSON')
  })

  it('is read from a view’s own bytes', () => {
    const around = Buffer.from('xx{"id":"a"}xx')
    expect(payloadKey(new Uint8Array(around.buffer, around.byteOffset + 2, 10), '/id').toString()).toBe('a')
  })
})
