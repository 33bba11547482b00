/** The documents whose commands are run, and their blocks; `npm run test:package` takes from here what needs an installed package. */
import { readdirSync, readFileSync } from 'node:fs'
import { type Block, blocksOf, type Mark } from './blocks.ts'

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

/** The blocks of all documents that need this. */
export function blocksThatNeed(need: Mark['need']): (Block & { readonly mark: Mark })[] {
  return documents()
    .flatMap((file) => blocksOf(file, textOf(file)))
    .filter(
      (block): block is Block & { readonly mark: Mark } =>
        typeof block.mark !== 'string' && block.mark.need === need,
    )
}
