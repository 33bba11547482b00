/** The browser of the tests and of the screenshots: a Chromium of this machine. */
import { accessSync, constants } from 'node:fs'
import { type Browser, chromium } from 'playwright-core'

const PATHS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
export const HOW_TO_INSTALL =
  'apt-get install --no-install-recommends chromium, or HEADWATER_CHROMIUM=/path/to/it'

/** Without a display, and without what a browser does on its own account over the network. */
const ARGUMENTS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--disable-dev-shm-usage',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** @returns null where there is none */
export function chromiumPath(): string | null {
  const named = process.env.HEADWATER_CHROMIUM
  return [...(named === undefined ? [] : [named]), ...PATHS].find(isProgram) ?? null
}

export function launchChromium(executablePath: string): Promise<Browser> {
  return chromium.launch({ executablePath, args: ARGUMENTS })
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
