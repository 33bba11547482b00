/** Which alarms are open, as findings come, last and go. */
import { describe, expect, it } from 'vitest'
import type { Finding } from '../../../../broker/operations/alarms/alarm.ts'
import { AlarmBook } from '../../../../broker/operations/alarms/alarm-book.ts'
import type { AlarmId } from '../../../../broker/operations/alarms/catalogue.ts'

const NOW = 1_700_000_000_000

describe('the book of alarms', () => {
  const finding = (id: AlarmId, more: Partial<Finding> = {}): Finding => ({
    id,
    severity: 'warning',
    subject: 'x',
    summary: 's',
    hint: 'h',
    ...more,
  })

  it('opens one once it has lasted, since when it was found first', () => {
    const book = new AlarmBook()
    const stalled = finding('upstream-stalled')
    book.take([stalled], NOW, 0)
    book.take([stalled], NOW + 599_000, 599_000)
    expect(book.open()).toEqual([])
    book.take([{ ...stalled, summary: 'now' }], NOW + 600_000, 600_000)
    expect(book.open()).toEqual([{ ...stalled, summary: 'now', since: NOW }])
    expect(book.isOpen('upstream-stalled', 'x')).toBe(true)
    expect(book.isOpen('upstream-stalled', 'y')).toBe(false)
  })

  it('forgets one that did not last', () => {
    const book = new AlarmBook()
    book.take([finding('upstream-stalled')], NOW, 0)
    book.take([], NOW, 300_000)
    book.take([finding('upstream-stalled')], NOW, 310_000)
    book.take([finding('upstream-stalled')], NOW, 620_000)
    expect(book.open()).toEqual([])
  })

  it('one that comes and goes stays one alarm, and closes when it stays away', () => {
    const book = new AlarmBook()
    for (let second = 0; second < 300; second += 10) {
      book.take(second % 20 === 0 ? [finding('disk-full')] : [], NOW + second * 1000, second * 1000)
      expect(book.open()).toMatchObject([{ id: 'disk-full', since: NOW }])
    }
    book.take([], NOW, 310_000)
    expect(book.open()).toEqual([])
  })

  it('has the worst first, then the oldest', () => {
    const book = new AlarmBook()
    book.take([finding('disk-full', { subject: 'b' })], NOW, 0)
    book.take(
      [
        finding('disk-full', { subject: 'a' }),
        finding('disk-full', { subject: 'b' }),
        finding('restart-needed', { severity: 'info' }),
        finding('log-failed', { severity: 'critical' }),
      ],
      NOW + 5,
      5,
    )
    expect(book.open().map(({ id, subject }) => `${id} ${subject}`)).toEqual([
      'log-failed x',
      'disk-full b',
      'disk-full a',
      'restart-needed x',
    ])
  })
})
