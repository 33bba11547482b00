import { describe, expect, it } from 'vitest'
import { LineMessages, type LineMessagesConfig } from '../../../firmware-bridge/lines/line-messages.ts'
import { seededRandom, testSeed } from '../../support/random.ts'

function setUp(more: Partial<LineMessagesConfig>) {
  const messages: [topic: string, payload: string][] = []
  const dropped: [reason: string, line: string | null][] = []
  const ways: string[] = []
  const config = { format: 'json', topic: 'plant/%p', encoding: 'utf8', lineBytesMax: 200, ...more } as const
  const lines = new LineMessages(config, 'uno', {
    onMessage: (topic, payload) => messages.push([topic, payload.toString()]),
    onDropped: (reason, line, wayOut) => {
      dropped.push([reason, line])
      ways.push(wayOut)
    },
  })
  const read = (text: string) => lines.push(Buffer.from(text))
  return { lines, messages, dropped, ways, read }
}

/** What one line becomes, after a first one that is of no interest. */
function one(more: Partial<LineMessagesConfig>, line: string, first = '') {
  const { messages, dropped, read } = setUp(more)
  read(`${first || 'half'}\n${line}\n`)
  return { messages, dropped: dropped.map(([reason]) => reason).filter((reason) => reason !== 'truncated') }
}

const payload = (format: LineMessagesConfig['format'], line: string, first = '') =>
  one({ format }, line, first).messages.map(([, text]) => text)

describe('lines', () => {
  it('end with LF or CRLF, and come in chunks of any size', () => {
    const text = '{"a":1}\r\n\r\n  \n{"b":2}\n{"c":"ä"}\n{"d":'
    const wire = Buffer.from(text)
    for (let split = 0; split <= wire.length; split++) {
      const { lines, messages, dropped } = setUp({})
      lines.push(wire.subarray(0, split))
      lines.push(wire.subarray(split))
      expect(messages.map(([, line]) => line)).toEqual(['{"a":1}', '{"b":2}', '{"c":"ä"}'])
      expect(dropped).toEqual([])
      expect(lines.linesReceived).toBe(3)
    }
  })

  it('that are too long are told once each and skipped', () => {
    const { messages, dropped, ways, read } = setUp({ lineBytesMax: 16 })
    read(`{"a":"${'x'.repeat(1000)}`)
    read('y'.repeat(1000))
    read('"}\n{"b":2}\n')
    expect(dropped).toEqual([['oversize', null]])
    expect(ways[0]).toContain('raise lineBytesMax (16)')
    expect(messages).toEqual([['plant/uno', '{"b":2}']])
  })

  it('that were too long do not hide what comes after the port was opened anew', () => {
    const { lines, messages, dropped, read } = setUp({ lineBytesMax: 16 })
    read('x'.repeat(100))
    lines.reset()
    read('{"a":1}\n')
    expect(dropped).toEqual([['oversize', null]])
    expect(messages.map(([, line]) => line)).toEqual(['{"a":1}'])
  })

  it('of which the first is half are not told of it as a mistake', () => {
    const { lines, messages, dropped, read } = setUp({})
    read('rature":21}\n{"a":1}\nhello\n')
    expect(dropped).toEqual([
      ['truncated', null],
      ['not-json', 'hello'],
    ])
    lines.reset()
    read(':21}\n{"a":2}\n{"half')
    lines.reset()
    expect(dropped.slice(2)).toEqual([
      ['truncated', null],
      ['truncated', null],
    ])
    expect(messages.map(([, line]) => line)).toEqual(['{"a":1}', '{"a":2}'])
  })

  it('of which the first may be half are not taken for whole ones where halves look so', () => {
    for (const [format, line] of [
      ['plotter', '1.5'],
      ['key-value', 'ture=21'],
      ['text', 'lo'],
    ] as const) {
      const { messages, dropped, read } = setUp({ format })
      read(`${line}\n${line}\n`)
      expect([messages.length, dropped]).toEqual([1, [['truncated', null]]])
    }
  })

  it('are text of the encoding that is configured', () => {
    const latin = Buffer.from('\n{"t":"21 \xb0C"}\n{"t":"22 \xb0C"}\n', 'latin1')
    const utf8 = setUp({})
    utf8.read('{}\n')
    utf8.lines.push(latin)
    expect(utf8.dropped.map(([reason]) => reason)).toEqual(['not-text', 'not-text'])
    const latin1 = setUp({ encoding: 'latin1' })
    latin1.lines.push(latin)
    expect(latin1.dropped).toEqual([])
    expect(latin1.messages.map(([, line]) => line)).toEqual(['{"t":"21 °C"}', '{"t":"22 °C"}'])
  })

  it('go to topics made of what they say', () => {
    const { messages, dropped, read } = setUp({ topic: 'plant/%{id}/x' })
    read('{"id":7}\n{"id":"a/b"}\n{"other":1}\n')
    expect(messages.map(([topic]) => topic)).toEqual(['plant/7/x', 'plant/a_b/x'])
    expect(dropped).toEqual([['no-topic', '{"other":1}']])
  })

  it('become a message for each value with %k', () => {
    const { messages } = one({ topic: '%p/%k' }, '{"t":21.50,"ok":true,"s":"x","n":null,"o":{"a":[1]}}')
    expect(messages).toEqual([
      ['uno/t', '21.50'],
      ['uno/ok', 'true'],
      ['uno/s', 'x'],
      ['uno/n', 'null'],
      ['uno/o', '{"a":[1]}'],
    ])
    expect(one({ topic: '%p/%k', format: 'key-value' }, 't=21.50').messages).toEqual([['uno/t', '21.50']])
  })

  it('of any kind pass with text', () => {
    expect(payload('text', ' any thing ')).toEqual([' any thing '])
  })

  it('of noise never raise an error', () => {
    const random = seededRandom(testSeed())
    for (const format of ['json', 'csv', 'key-value', 'plotter', 'text'] as const) {
      const { lines, messages } = setUp({ format, topic: '%p/%k', encoding: 'latin1' })
      for (let i = 0; i < 2000; i++) {
        lines.push(Uint8Array.from({ length: random.between(1, 80) }, () => random.between(0, 255)))
        const alphabet = '{}[]":,;=\t 12.5eEa\\-\r\n'
        const text = Array.from(
          { length: random.between(1, 40) },
          () => alphabet[random.between(0, 22)],
        ).join('')
        lines.push(Buffer.from(text))
      }
      for (const [topic] of messages) expect(topic, `seed ${testSeed()}`).not.toMatch(/[+#\0\n]/)
    }
  })

  it.each([
    '1'.repeat(60_000),
    ' '.repeat(60_000),
    'a '.repeat(30_000),
    'a=b '.repeat(15_000),
    '"'.repeat(60_000),
    `${' '.repeat(30_000)}${'" '.repeat(15_000)}`,
    '\r'.repeat(60_000),
  ])('that are long and malicious take no longer than their length (%#)', (line) => {
    for (const format of ['json', 'csv', 'key-value', 'plotter'] as const) {
      const { messages, dropped, lines } = setUp({ format, lineBytesMax: 65_536 })
      lines.push(Buffer.from(`\n${line}x\n`))
      expect(messages.length + dropped.length).toBeLessThan(2)
    }
  })
})

describe('JSON lines', () => {
  it('give their values as they stand in the line', () => {
    const line = String.raw`{ "id" : 12345678901234567890, "t":21.50,"e":1e999, "s":"a,\"}b", "o":{"x":[1, {"}":2}]} ,"":null, "__proto__":true}`
    expect(one({ topic: '%k/%{id}' }, line).messages).toEqual([
      ['id/12345678901234567890', '12345678901234567890'],
      ['t/12345678901234567890', '21.50'],
      ['e/12345678901234567890', '1e999'],
      ['s/12345678901234567890', 'a,"}b'],
      ['o/12345678901234567890', '{"x":[1, {"}":2}]}'],
      ['__proto__/12345678901234567890', 'true'],
    ])
  })

  it('may nest as deeply as a line is long', () => {
    const deep = `{"a":${'['.repeat(30_000)}${']'.repeat(30_000)},"b":1}`
    expect(one({ topic: '%k', lineBytesMax: 65_536 }, deep, '{}').messages[1]).toEqual(['b', '1'])
  })

  it('are the payload as they came', () => {
    expect(payload('json', '{"t": 21.50, "big": 12345678901234567890}')).toEqual([
      '{"t": 21.50, "big": 12345678901234567890}',
    ])
  })

  it.each([
    ['not-json', '{"t":21.5'],
    ['not-json', 'temperature 21'],
    ['not-an-object', '[1,2]'],
    ['not-an-object', '21.5'],
    ['not-an-object', 'null'],
  ])('%s: %s', (reason, line) => {
    expect(one({ format: 'json' }, line, '{}').dropped).toEqual([reason])
  })
})

describe('CSV lines', () => {
  it('have the names of their header', () => {
    const { messages, dropped, read } = setUp({ format: 'csv' })
    read('time,temperature,note\n1,21.50,"a, ""b"""\n2,,ok\ntime,temperature,note\n3,nan,true\n')
    expect(messages.map(([, text]) => text)).toEqual([
      '{"time":1,"temperature":21.5,"note":"a, \\"b\\""}',
      '{"time":2,"temperature":null,"note":"ok"}',
      '{"time":3,"temperature":null,"note":true}',
    ])
    expect(dropped).toEqual([])
  })

  it('have the names of the configuration', () => {
    const { messages, dropped, read } = setUp({ format: 'csv', columns: ['t', 'state'] })
    read('1.5;open\n21.5;open\n22;shut\nt;state\n23\n')
    expect(messages.map(([, text]) => text)).toEqual(['{"t":21.5,"state":"open"}', '{"t":22,"state":"shut"}'])
    expect(dropped).toEqual([
      ['truncated', null],
      ['fields', '23'],
    ])
  })

  it('before a header are told of it', () => {
    const { messages, dropped, ways, read } = setUp({ format: 'csv' })
    read('1,2\n3,4\n')
    expect(dropped).toEqual([
      ['truncated', null],
      ['no-header', '3,4'],
    ])
    expect(ways[1]).toContain('set columns')
    read('a,b\n5,6\n')
    expect(messages.map(([, text]) => text)).toEqual(['{"a":5,"b":6}'])
  })

  it('of another number of fields end the header, which was perhaps half a line', () => {
    const { messages, dropped, read } = setUp({ format: 'csv' })
    read('rature,humidity\n1,21,40\n1,21\ntime,temperature,humidity\n1,21,40\n')
    expect(dropped.map(([reason]) => reason)).toEqual(['fields', 'no-header'])
    expect(messages.map(([, text]) => text)).toEqual(['{"time":1,"temperature":21,"humidity":40}'])
  })

  it('may be separated by semicolons or tabs', () => {
    expect(payload('csv', '1;2', 'a;b')).toEqual(['{"a":1,"b":2}'])
    expect(payload('csv', '1\t2,5', 'a\tb')).toEqual(['{"a":1,"b":"2,5"}'])
  })
})

describe('key-value lines', () => {
  it.each([
    ['t=21.5 h=40', '{"t":21.5,"h":40}'],
    ['t=21.5,h=40', '{"t":21.5,"h":40}'],
    ['t = 21.5; h = -4e1 ', '{"t":21.5,"h":-40}'],
    ['s="a b, c" n=', '{"s":"a b, c","n":null}'],
    ['id=00123456789012345678 ok=true', '{"id":"00123456789012345678","ok":true}'],
  ])('%s is %s', (line, json) => {
    expect(payload('key-value', line)).toEqual([json])
  })

  it.each(['hello', 't=1 hello', '=1', 't 1'])('%s has none', (line) => {
    expect(one({ format: 'key-value' }, line, 'a=1').dropped).toEqual(['no-values'])
  })
})

describe('plotter lines', () => {
  it.each([
    ['a:1 b:2', '{"a":1,"b":2}'],
    ['a:1,b:2', '{"a":1,"b":2}'],
    ['air temp: 21.5\thumidity:40', '{"air temp":21.5,"humidity":40}'],
    ['1,2', '{"value1":1,"value2":2}'],
    ['1 2\t3', '{"value1":1,"value2":2,"value3":3}'],
    ['21.50', '{"value1":21.5}'],
    ['a:nan', '{"a":null}'],
  ])('%s is %s', (line, json) => {
    expect(payload('plotter', line)).toEqual([json])
  })

  it.each(['hello', 'a:b', '1,x', 'a:1 b', ',,'])('%s has other things than numbers', (line) => {
    expect(one({ format: 'plotter' }, line, '1').dropped).toEqual(['not-a-number'])
  })
})
