/**
 * Draws the pictures of the README: `npm run screenshots` starts a broker with `--demo`, waits until its charts have something to show, and
 * photographs its page. `--minutes 6` waits longer, `--into DIRECTORY` puts them elsewhere.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Browser, BrowserContextOptions } from 'playwright-core'
import { BrokerProcess } from '../support/broker-process.ts'
import { chromiumPath, HOW_TO_INSTALL, launchChromium } from '../support/browser.ts'
import { freePort } from '../support/kafka/ports.ts'

const SIZE = { width: 1280, height: 818 }
const PICTURES: readonly { name: string; options: BrowserContextOptions }[] = [
  { name: 'dashboard-light', options: { viewport: SIZE, colorScheme: 'light' } },
  { name: 'dashboard-dark', options: { viewport: SIZE, colorScheme: 'dark' } },
  {
    name: 'dashboard-phone',
    options: { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, colorScheme: 'light' },
  },
]

function configuration(ports: { mqtt: number; http: number }): string {
  return `
edge: plant-7
data: ./data
mqtt: { listeners: [{ address: "127.0.0.1:${ports.mqtt}" }] }
http: { address: "127.0.0.1:${ports.http}" }
streams:
  - { name: machine, topics: ["demo/host/#"], partitions: 1, cleanup: compact, table: true }
  - { name: sensors, topics: ["demo/#"], partitions: 4, retention: { seconds: 604800 } }
  - { name: events, topics: ["#"], partitions: 4 }
upstreams:
  - { name: usb-disk, kind: archive, directory: ./upstream }
`
}

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '5' },
    into: { type: 'string', default: 'docs/images' },
  },
})
const path = chromiumPath()
if (path === null) throw new Error(`there is no chromium: ${HOW_TO_INSTALL}`)
const directory = await mkdtemp(join(tmpdir(), 'headwater-screenshots-'))
const ports = { mqtt: await freePort(), http: await freePort() }
await writeFile(join(directory, 'headwater.yaml'), configuration(ports))
const broker = new BrokerProcess(['--demo', '--config', join(directory, 'headwater.yaml')])
let browser: Browser | null = null
try {
  await broker.start()
  process.stdout.write(`the demo runs for ${values.minutes} minutes\n`)
  await new Promise((resolve) => setTimeout(resolve, Number(values.minutes) * 60_000))
  browser = await launchChromium(path)
  await mkdir(values.into, { recursive: true })
  for (const { name, options } of PICTURES) {
    const page = await (await browser.newContext(options)).newPage()
    await page.goto(`http://127.0.0.1:${ports.http}/`)
    await page.locator('.plot canvas').nth(3).waitFor()
    const file = join(values.into, `${name}.png`)
    await page.screenshot({ path: file })
    process.stdout.write(`${file}\n`)
  }
} finally {
  await browser?.close()
  await broker.end('SIGTERM')
  await rm(directory, { recursive: true, force: true })
}
