/** Whether a block of commands did what its document says. */
import type { Block, Mark } from './blocks.ts'
import type { Ran } from './machine.ts'
import { COMMAND_BEGINS, notSeen } from './script.ts'

/** What one command put out. */
const outputOf = (output: string, number: number) =>
  (output.split(`${COMMAND_BEGINS}${number}\n`)[1] ?? '').split(COMMAND_BEGINS)[0]!

/**
 * @param at how far it came: the number of the last command that began, counted from 1; 0 for what its mark sets up
 * @throws Error with the place, what was wanted, and what was put out
 */
export function judge(block: Block, mark: Mark, { code, output }: Ran, at: number): void {
  const command = block.commands[at - 1]
  const place = `${block.file}:${command?.line ?? block.line}`
  const what = command === undefined ? 'what its mark sets up' : command.text
  const isLast = at === block.commands.length
  const wanted = isLast ? mark.exits : 0
  if (code !== wanted || !isLast)
    throw new Error(`${place}: exit code ${code}, not ${wanted}: ${what}\n${output}`)
  if (!block.isTranscript || !mark.isCompared) return
  block.commands.forEach(({ line, shown }, index) => {
    const own = outputOf(output, index + 1)
    const missing = notSeen(shown, own)
    if (missing.length > 0)
      throw new Error(
        `${block.file}:${line} shows what was not seen:\n${missing.join('\n')}\n--- it was:\n${own}`,
      )
  })
}
