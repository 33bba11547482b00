import { describe, expect, it } from 'vitest'
import {
  readVariable,
  VARIABLE_MAX,
  VariableInteger,
  variableBytes,
  writeVariable,
} from '../../../../broker/mqtt/packets/variable-integer.ts'
import { hex, refusal } from './support.ts'

function read(text: string): { value: number; end: number } {
  const into = new VariableInteger()
  readVariable(hex(text), 0, hex(text).length, into)
  return { value: into.value, end: into.end }
}

/** MQTT 5, table 1-1. */
const FORMS: readonly (readonly [string, number])[] = [
  ['00', 0],
  ['7f', 127],
  ['80 01', 128],
  ['ff 7f', 16_383],
  ['80 80 01', 16_384],
  ['ff ff 7f', 2_097_151],
  ['80 80 80 01', 2_097_152],
  ['ff ff ff 7f', 268_435_455],
]

describe('a variable byte integer', () => {
  it('is read and written as table 1-1 says', () => {
    for (const [form, value] of FORMS) {
      expect(read(form)).toEqual({ value, end: hex(form).length })
      const target = Buffer.alloc(4)
      expect(writeVariable(target, 0, value)).toBe(hex(form).length)
      expect(variableBytes(value)).toBe(hex(form).length)
      expect(target.subarray(0, hex(form).length)).toEqual(hex(form))
    }
    expect(VARIABLE_MAX).toBe(268_435_455)
  })

  it('that is longer than it need be is refused [MQTT-1.5.5-1]', () => {
    for (const form of ['80 00', '81 00', 'ff 80 00', '80 80 80 00']) {
      expect(
        refusal(() => read(form)),
        form,
      ).toBe('0x81 MQTT-1.5.5-1')
    }
  })

  it('of five bytes, or cut short, is refused [section 1.5.5]', () => {
    for (const form of ['80 80 80 80 01', 'ff ff ff ff', '80', '', 'ff ff']) {
      expect(
        refusal(() => read(form)),
        form,
      ).toBe('0x81 section 1.5.5')
    }
  })
})
