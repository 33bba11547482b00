import { describe, expect, it } from 'vitest'
import {
  encodeHead,
  parseHead,
  streamNameOf,
  subjectMatches,
  subjectOf,
  subjectsFor,
} from '../../../sync/nats/format.ts'

const HEAD = {
  origin: { edge: 'pi-7', incarnation: '0a1b', stream: 'press.events', partition: 2 },
  from: 40,
  next: 42,
  proof: 0x1c5e0ff,
  instance: 'p1',
}

function headerOf(entries: readonly (readonly [string, string])[]) {
  const map = new Map(entries)
  return (name: string) => map.get(name) ?? null
}

describe('the format of NATS messages', () => {
  it('gives every partition of every edge a subject of its own, dots in names or not', () => {
    const names = ['a', 'a.b', 'b', 'a.b.c', 'b.c', 'c']
    const subjects = names.flatMap((edge) => names.map((stream) => subjectOf('hw', edge, stream, 0)))
    expect(new Set(subjects).size).toBe(names.length ** 2)
    expect(subjectOf('headwater', 'pi-7', 'press.events', 2)).toBe('headwater.pi-7.press%2Eevents.2')
    expect(streamNameOf('HW-{edge}-{stream}', 'pi.7', 'x')).toBe('HW-pi%2E7-x')
  })

  it('asks for the subjects that its template needs, and no more', () => {
    const subjects = (template: string) => subjectsFor(template, 'hw', 'e', 's')
    expect(subjects('all')).toBe('hw.*.*.*')
    expect(subjects('{edge}')).toBe('hw.e.*.*')
    expect(subjects('{stream}')).toBe('hw.*.s.*')
    expect(subjects('{edge}_{stream}')).toBe('hw.e.s.*')
    for (const template of ['all', '{edge}', '{stream}']) {
      expect(subjectMatches(subjects(template), 'hw.e.s.0')).toBe(true)
      expect(subjectMatches(subjects(template), 'hw.other.other.0')).toBe(template === 'all')
    }
    expect(subjectMatches('hw.>', 'hw.e.s.0')).toBe(true)
    expect(subjectMatches('hw.>', 'hw')).toBe(false)
    expect(subjectMatches('hw.*', 'hw.e.s')).toBe(false)
    expect(subjectMatches('hw.e.s.0.x', 'hw.e.s.0')).toBe(false)
  })

  it('reads the headers that it writes', () => {
    for (const head of [HEAD, { ...HEAD, proof: null }, { ...HEAD, proof: 0, from: 0 }]) {
      expect(parseHead(headerOf(encodeHead(head)))).toEqual(head)
    }
    expect(Object.fromEntries(encodeHead(HEAD))).toMatchObject({
      'Hw-Origin': 'pi-7/0a1b/press.events/2',
      'Hw-Proof': '01c5e0ff',
    })
  })

  it('refuses headers of another hand', () => {
    const whole = encodeHead(HEAD)
    for (const [name] of whole) {
      if (name === 'Hw-Proof') continue
      expect(parseHead(headerOf(whole.filter(([other]) => other !== name))), name).toBeNull()
    }
    const wrong = {
      'Hw-Format': '2',
      'Hw-Origin': 'a/b/c',
      'Hw-From': '-1',
      'Hw-Next': '1e3',
      'Hw-Proof': 'xyz',
    }
    for (const [name, value] of Object.entries(wrong)) {
      const changed = whole.map(([other, old]) => [other, other === name ? value : old] as const)
      expect(parseHead(headerOf(changed)), name).toBeNull()
    }
  })
})
