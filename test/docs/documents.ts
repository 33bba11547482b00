/** The documents whose commands are run. */
import { readdirSync, readFileSync } from 'node:fs'

const ROOT = new URL('../../', import.meta.url)
/** Made from the help of the commands: examples.test.ts runs theirs. */
const MADE = ['docs/commands.md', 'docs/bridge-commands.md']

export function documents(): string[] {
  const inside = (folder: string) =>
    readdirSync(new URL(folder, ROOT))
      .filter((name) => name.endsWith('.md'))
      .map((name) => `${folder}${name}`)
  return ['README.md', ...inside('docs/'), ...inside('deploy/raspberry-pi/'), ...inside('examples/')]
    .filter((file) => !MADE.includes(file))
    .sort()
}

export const textOf = (file: string) => readFileSync(new URL(file, ROOT), 'utf8')
