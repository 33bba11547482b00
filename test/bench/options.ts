/** What every benchmark is asked with. */

export interface BenchOptions {
  readonly runs: number
  /** A look in a few seconds: short loads, small logs, one run. */
  readonly quick: boolean
  readonly json: boolean
  /** A directory on the disk to measure. */
  readonly dir?: string
  /** Only the case of this name, or those whose name contains it. */
  readonly only?: string
  /** A directory for CPU profiles of what is measured. */
  readonly profile?: string
}

export function chosen<C extends { readonly name: string }>(
  cases: readonly C[],
  only: string | undefined,
): C[] {
  const exact = cases.filter(({ name }) => name === only)
  if (exact.length > 0) return exact
  const found = cases.filter(({ name }) => only === undefined || name.includes(only))
  if (found.length > 0) return found
  const names = cases.map(({ name }) => `"${name}"`).join(', ')
  throw new Error(`--only ${only} names no case; there are ${names}`)
}

export function profileFlags(directory: string | undefined): string[] {
  return directory === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${directory}`]
}
