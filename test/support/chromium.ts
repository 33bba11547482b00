/** Suites that need a real browser. Where there is none they are skipped by name, and one line says why. */
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe } from 'vitest'
import { chromiumPath, HOW_TO_INSTALL, launchChromium } from './browser.ts'

/** @param define gets the one browser of all its tests, once they run */
export function describeWithChromium(name: string, define: (browser: () => Browser) => void): void {
  const path = chromiumPath()
  const isCi = !['', 'false', '0', undefined].includes(process.env.CI)
  if (path === null) {
    // A green build must mean that these ran.
    if (isCi) throw new Error(`tests in a browser cannot run here: ${HOW_TO_INSTALL}`)
    process.stderr.write(`\n!!! tests in a browser are SKIPPED: no chromium; ${HOW_TO_INSTALL}\n\n`)
    describe.skip(`${name} [no chromium]`, () => define(() => null as never))
    return
  }
  describe(name, () => {
    let browser: Browser
    beforeAll(async () => {
      browser = await launchChromium(path)
    })
    afterAll(() => browser?.close())
    define(() => browser)
  })
}
