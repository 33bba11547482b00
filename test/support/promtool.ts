/** Prometheus' own checker, where it is installed: the Debian package `prometheus` has it. */
import { spawnSync } from 'node:child_process'

export const hasPromtool = spawnSync('promtool', ['--version']).status === 0

/** @returns its complaints about names, types and the text itself; empty where it has none */
export function checkMetrics(text: string): string {
  const { status, stderr, stdout } = spawnSync('promtool', ['check', 'metrics'], {
    input: text,
    encoding: 'utf8',
  })
  const said = `${stdout}${stderr}`.trim()
  return status === 0 || said !== '' ? said : `promtool ended with ${status}`
}

/** @returns what it says against it; empty where it is content */
export function promtool(args: readonly string[]): string {
  const { status, stderr, stdout } = spawnSync('promtool', args, { encoding: 'utf8' })
  return status === 0 ? '' : `${stdout}${stderr}`.trim() || `promtool ended with ${status}`
}
