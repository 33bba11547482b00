/** What every benchmark is asked with. */

export interface BenchOptions {
  readonly runs: number
  /** A look in a few seconds: short loads, small logs, one run. */
  readonly quick: boolean
  readonly json: boolean
  readonly markdown: boolean
  /** A directory on the disk to measure. */
  readonly dir?: string
  /** Only the case of this name, or those whose name contains it, or contains one of several with commas between. */
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
  if (only === undefined) return [...cases]
  const wanted = only.split(',').map((text) => text.trim())
  const unknown = wanted.find((text) => !cases.some(({ name }) => name.includes(text)))
  if (unknown === undefined) return cases.filter(({ name }) => wanted.some((text) => name.includes(text)))
  const names = cases.map(({ name }) => `"${name}"`).join(', ')
  throw new Error(`--only ${unknown} names no case; there are ${names}`)
}

export function profileFlags(directory: string | undefined): string[] {
  return directory === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${directory}`]
}
