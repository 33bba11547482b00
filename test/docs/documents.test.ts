/** Every command of every document does what the document says: each runs, in its order, on a machine of the document's own. */
import { existsSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isOnPath } from '../support/programs.ts'
import { type Block, blocksOf, type Mark } from './blocks.ts'
import { documents, textOf } from './documents.ts'
import { judge } from './judge.ts'
import { Machine, whyNoMachine } from './machine.ts'
import { scriptOf } from './script.ts'

/** Of a block; a busy machine with one slow core is no reason to fail. */
const BLOCK_MS_MAX = 120_000
const isCi = process.env.CI === 'true'
const noMachine = whyNoMachine()

/** Why a block is not run here, or undefined. */
function whyNot({ need, detail, programs }: Mark): string | undefined {
  if (need === 'system' || need === 'package') return 'npm run test:package runs it'
  if (need === 'elsewhere') return `${detail} runs it`
  if (need === 'not run') return detail
  if (isCi) return undefined
  if (noMachine !== undefined) return noMachine
  const missing = programs.filter((program) => !isOnPath(program))
  return missing.length === 0 ? undefined : `${missing.join(', ')} is not there`
}

it('every block of commands says what it needs', () => {
  const unmarked = documents()
    .flatMap((file) => blocksOf(file, textOf(file)))
    .filter(({ mark }) => typeof mark === 'string')
  expect(unmarked.map(({ file, line, mark }) => `${file}:${line}: ${mark}`)).toEqual([])
})

it('nothing runs these few blocks, each for the reason that its mark says', () => {
  const notRun = documents()
    .flatMap((file) => blocksOf(file, textOf(file)))
    .flatMap(({ file, commands, mark }) =>
      typeof mark !== 'string' && mark.need === 'not run'
        ? [`${file}: ${commands[0]?.text.split(/ +#/)[0]}`]
        : [],
    )
  expect(notRun).toEqual([
    // what these fetch, CI has fetched before it runs any test
    'README.md: npm ci && npm start -- --demo',
    'README.md: npm ci && npm run package -- --arch arm64',
    'deploy/raspberry-pi/README.md: npm ci',
    'docs/bridge.md: headwater-bridge ports',
    'docs/install.md: git clone REPOSITORY headwater && cd headwater',
    'docs/security.md: ssh -L 9180:127.0.0.1:9180 pi@edge-17',
  ])
})

it('tests that are said to run commands are there', () => {
  const elsewhere = documents()
    .flatMap((file) => blocksOf(file, textOf(file)))
    .flatMap(({ mark }) => (typeof mark !== 'string' && mark.need === 'elsewhere' ? [mark.detail] : []))
  expect(elsewhere.filter((file) => !existsSync(new URL(`../../${file}`, import.meta.url)))).toEqual([])
})

it.runIf(isCi)('CI has what a machine of its own takes', () => {
  expect(noMachine).toBeUndefined()
})

describe.each(documents())('%s', (file) => {
  const blocks = blocksOf(file, textOf(file)).filter(
    (block): block is Block & { mark: Mark } => typeof block.mark !== 'string',
  )
  const runs = blocks.some(({ mark }) => whyNot(mark) === undefined)
  let machine: Machine
  beforeAll(async () => {
    if (runs) machine = await Machine.boot()
  })
  afterAll(async () => {
    await machine?.halt()
  })
  if (blocks.length === 0) it.skip('has no commands', () => {})

  for (const block of blocks) {
    const reason = whyNot(block.mark)
    const name = `line ${block.line}: ${block.commands[0]?.text.split('\n')[0]}`
    if (reason !== undefined) it.skip(`${name} (${reason})`, () => {})
    else
      it(
        name,
        async () => {
          const ran = await machine.run(scriptOf(block, block.mark), BLOCK_MS_MAX)
          judge(block, block.mark, ran, Number(machine.state('at')))
        },
        BLOCK_MS_MAX + 30_000,
      )
  }
})
