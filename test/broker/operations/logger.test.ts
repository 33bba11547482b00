import { expect, test } from 'vitest'
import { createLogger, type LogLevel, logLevel } from '../../../broker/operations/logger.ts'

function logged(level: LogLevel, isJournal = false) {
  const lines: string[] = []
  const log = createLogger({ level, isJournal, write: (line) => lines.push(line), now: () => 0 })
  return { log, lines }
}

test('a line has the time, the level, the message and the fields', () => {
  const { log, lines } = logged('info')
  log.warn('upstream is away', { code: 'HW_X', tries: 3, gone: undefined, list: ['a', 1] })
  expect(lines).toEqual(['1970-01-01T00:00:00.000Z warn upstream is away code=HW_X tries=3 list=["a",1]\n'])
})

test('under systemd the journal has the time, and the level is a prefix that it reads', () => {
  const { log, lines } = logged('info', true)
  log.info('a')
  log.error('b')
  expect(lines).toEqual(['<6>a\n', '<3>b\n'])
})

test('levels below the chosen one are left out', () => {
  const { log, lines } = logged('warn')
  log.info('a')
  log.warn('b')
  log.error('c')
  expect(lines).toHaveLength(2)
  const silent = logged('silent')
  silent.log.error('c')
  expect(silent.lines).toEqual([])
})

test('a message is one line, whatever a client put into it', () => {
  const { log, lines } = logged('info')
  log.info('client\nforged: line', { id: 'a b\n"c"', empty: '', error: new Error('x\ny') })
  expect(lines).toEqual([
    '1970-01-01T00:00:00.000Z info client\\nforged: line id="a b\\n\\"c\\"" empty="" error="x\\ny"\n',
  ])
})

test('a field steers no terminal, also where it is quoted', () => {
  const { log, lines } = logged('info')
  log.info('m', {
    reason: 'its Origin is \u009b2J\u0085',
    error: new Error('\u009b2J'),
    name: '\u202egnp.exe',
  })
  expect(lines[0]).toMatch(/^[\x20-\x7e]*\n$/)
  expect(lines[0]).toContain('reason="its Origin is \\u009b2J\\u0085" error="\\u009b2J" name=\\u202egnp.exe')
})

test('a field has a limit', () => {
  const { log, lines } = logged('info')
  log.info('m', { long: 'x'.repeat(5000) })
  expect(lines[0]!.length).toBeLessThan(2100)
})

test('HEADWATER_LOG names the level', () => {
  expect(logLevel({})).toBe('info')
  expect(logLevel({ HEADWATER_LOG: 'WARN' })).toBe('warn')
  expect(logLevel({ HEADWATER_LOG: 'loud' })).toBe('info')
})
