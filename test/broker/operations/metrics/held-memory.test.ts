/** Memory that counts against a service's limit: what the system cannot take back. */
import { expect, it } from 'vitest'
import { heldBytes, heldOf } from '../../../../broker/operations/metrics/process-facts.ts'

const MB = 1_048_576
const status = (anonymous: number, file: number) =>
  `VmRSS:\t  99 kB\nRssAnon:\t  ${anonymous * 1024} kB\nRssFile:\t  ${file * 1024} kB\nRssShmem:\t       0 kB\n`

it('files of the log that are mapped are not counted, and the program is', () => {
  expect(heldOf(status(30, 40))).toBe(70 * MB)
  expect(heldOf(status(54, 128))).toBe(102 * MB)
  expect(heldOf('Name:\tnode\n')).toBeNull()
})

it('of this process it is some, and not more than what is resident', () => {
  expect(heldBytes()).toBeGreaterThan(10 * MB)
  expect(heldBytes()).toBeLessThan(process.memoryUsage.rss() * 1.5)
})
