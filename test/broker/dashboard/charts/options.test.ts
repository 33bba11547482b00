import { expect, it } from 'vitest'
import { axisTexts } from '../../../../broker/dashboard/charts/options.ts'
import { bytes } from '../../../../broker/dashboard/text/units.ts'

it('no two steps of an axis read the same', () => {
  const perSecond = (value: number) => `${bytes(value)}/s`
  expect(axisTexts([0, 0.5, 1], perSecond)).toEqual(['0', '', '1 B/s'])
  expect(axisTexts([0, 500, 1000, null], perSecond)).toEqual(['0', '500 B/s', '1 kB/s', ''])
})
