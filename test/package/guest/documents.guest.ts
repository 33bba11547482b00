/** Every command of the documents that needs an installed package, or a system to install it on: in its order, in a guest of the document's own. */
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { type Block, blocksOf, type Mark } from '../../docs/blocks.ts'
import { documents, textOf } from '../../docs/documents.ts'
import { judge } from '../../docs/judge.ts'
import { scriptOf } from '../../docs/script.ts'
import type { Mirror } from '../mirror.ts'
import { Guest, packageFile } from './guest.ts'
import { HOST, serveIn } from './serving.ts'

const BLOCK_MS_MAX = 240_000

const isOurs = (block: Block): block is Block & { mark: Mark } =>
  typeof block.mark !== 'string' && (block.mark.need === 'system' || block.mark.need === 'package')

const walks = documents()
  .map((file) => ({ file, blocks: blocksOf(file, textOf(file)).filter(isOurs) }))
  .filter(({ blocks }) => blocks.length > 0)

/** The package under the name that documents give it, and under that which this machine's architecture gives it. */
async function serveCurrent(guest: Guest): Promise<Mirror> {
  const file = packageFile('current')
  const architecture = await guest.done('dpkg --print-architecture')
  const version = await guest.done(`dpkg-deb --field "$PACKAGES/current.deb" Version`)
  const own = `headwater_${version}_${architecture}.deb`
  const served = await serveIn(guest, {
    [`headwater/headwater_${version}_arm64.deb`]: file,
    [`headwater/${own}`]: file,
  })
  const sum = createHash('sha256').update(readFileSync(file)).digest('hex')
  writeFileSync(join(guest.home, 'www/headwater/SHA256SUMS'), `${sum}  ${own}\n`)
  return served
}

describe.each(walks)('$file', ({ blocks }) => {
  let guest: Guest
  let mirror: Mirror | undefined
  beforeAll(async () => {
    guest = await Guest.boot()
    if (blocks.some(({ commands }) => commands.some(({ text }) => text.includes(HOST))))
      mirror = await serveCurrent(guest)
  })
  afterAll(async () => {
    await mirror?.close()
    await guest?.halt()
  })

  for (const block of blocks)
    it(`line ${block.line}: ${block.commands[0]?.text.split('\n')[0]}`, async () => {
      const ran = await guest.run(scriptOf(block, block.mark), BLOCK_MS_MAX)
      judge(block, block.mark, ran, Number(guest.state('at')))
    })
})
