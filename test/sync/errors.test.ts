import { describe, expect, it } from 'vitest'
import { HeadwaterError } from '../../broker/index.ts'
import * as errors from '../../sync/errors.ts'

type ErrorClass = new (...args: unknown[]) => HeadwaterError

/** Every class but the base, with as many texts as its constructor asks for. */
const samples = Object.entries(errors)
  .filter(([name]) => name !== 'UpstreamError')
  .map(([name, value]) => {
    const Class = value as unknown as ErrorClass
    const args = Array.from({ length: Class.length }, (_, i) =>
      name === 'TopicConflictError' && i === 1 ? ['a', 'b'] : `arg${i}`,
    )
    return { name, error: new Class(...args) }
  })

describe("sync's errors", () => {
  it('have a code of their own each, stable in form', () => {
    const codes = samples.map(({ error }) => error.code)
    expect(new Set(codes).size).toBe(codes.length)
    for (const code of codes) expect(code).toMatch(/^HW_[A-Z_]+$/)
  })

  it('say what happened and what to do next, in one line', () => {
    for (const { name, error } of samples) {
      expect(error, name).toBeInstanceOf(HeadwaterError)
      expect(error.name).toBe(name)
      expect(error.hint, name).toMatch(/\S{2,}/)
      expect(error.line, name).not.toContain('\n')
      expect(error.line, name).not.toContain('undefined')
    }
  })

  it('stop an upstream only where going on could write a wrong log', () => {
    const stopping = samples.filter(({ error }) => !error.retryable).map(({ error }) => error.code)
    expect(stopping.sort()).toEqual([
      'HW_ARCHIVE_DAMAGED',
      'HW_CHECKPOINT_AHEAD',
      'HW_CHECKPOINT_MISMATCH',
      'HW_DOWNLINK_CONFIG',
      'HW_DOWNLINK_RANGE',
      'HW_FENCED',
      // Of a command.
      'HW_REWIND_REFUSED',
      'HW_TOPIC_CONFLICT',
      // Of readers: these would skip records, or take others for them.
      'HW_TOPIC_OFFSET_GONE',
      'HW_TOPIC_RECREATED',
      // Of a command.
      'HW_UNVERIFIABLE',
      'HW_UPSTREAM_CONFIG',
    ])
  })
})
