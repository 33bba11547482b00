/** A hint that names a command names one that there is. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { type Actions, buildProgram } from '../../broker/operations/commands/program.ts'
import { type BridgeActions, buildBridgeProgram } from '../../firmware-bridge/commands/program.ts'

const ROOT = join(import.meta.dirname, '../..')

function named(folders: readonly string[], words: RegExp): { place: string; words: string[] }[] {
  const files = folders.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.ts'))
      .map((path) => join(folder, path)),
  )
  return files.flatMap((place) => {
    const text = readFileSync(join(ROOT, place), 'utf8')
    return [...text.matchAll(words)].map((match) => {
      return { place, words: match[1]!.split(' ') }
    })
  })
}

it('commands that texts name exist', () => {
  const program = buildProgram('0', {} as Actions, () => {})
  const all = named(['broker', 'sync'], /`headwater ([a-z]+(?: [a-z]+)?)/g)
  expect(all.length).toBeGreaterThan(20)
  for (const { place, words } of all) {
    const [first, second] = words
    const command = program.commands.find((each) => each.name() === first)
    expect(command, `${place}: headwater ${words.join(' ')}`).toBeDefined()
    // Of a group the second word is a command, too.
    if (second === undefined || command!.registeredArguments.length > 0) continue
    const inner = command!.commands.map((each) => each.name())
    if (inner.length > 0) expect(inner, `${place}: headwater ${words.join(' ')}`).toContain(second)
  }
})

it('commands of the bridge that its texts name exist', () => {
  const program = buildBridgeProgram('0', {} as BridgeActions, () => {})
  const all = named(['broker/config', 'firmware-bridge'], /`headwater-bridge ([a-z]+(?: [a-z]+)?)/g)
  expect(all.length).toBeGreaterThan(4)
  for (const { place, words } of all) {
    const command = program.commands.find((each) => each.name() === words[0])
    expect(command, `${place}: headwater-bridge ${words.join(' ')}`).toBeDefined()
    const inner = command!.commands.map((each) => each.name())
    if (inner.length > 0) expect(inner, `${place}: headwater-bridge ${words.join(' ')}`).toContain(words[1])
  }
})
