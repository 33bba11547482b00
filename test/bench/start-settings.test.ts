import { expect, test } from 'vitest'
import { startSettings } from './start-settings.ts'

test('the start script gives its environment and its node flags', () => {
  const settings = startSettings('A=1 B=two node --flag --other=2 dist/cli.js start --not-this')
  expect(settings).toEqual({ environment: { A: '1', B: 'two' }, flags: ['--flag', '--other=2'] })
  expect(startSettings('node dist/cli.js start')).toEqual({ environment: {}, flags: [] })
})
