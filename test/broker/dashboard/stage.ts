/** A broker as an operator runs it, its MQTT clients, and its page in a browser. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { expect } from 'vitest'
import { BrokerProcess } from '../../support/broker-process.ts'
import { freePort } from '../../support/kafka/ports.ts'

/** Machines that do much else are slow; nothing here is about time. */
export const WAIT_MS_MAX = 45_000
export const TEST_MS_MAX = 180_000

const STREAMS = `
streams:
  - { name: devices, topics: ["device/#"], cleanup: compact, table: true, partitions: 2 }
  - { name: events, topics: ["#"], partitions: 3, retention: { seconds: 604800 } }
upstreams:
  - { name: card, kind: archive, directory: ./upstream }
`

export class Stage {
  readonly broker: BrokerProcess
  readonly url: string
  readonly mqttUrl: string
  readonly #directory: string
  readonly #clients: MqttClient[] = []
  readonly #pages: Page[] = []
  /** Whatever a page complained of: errors, refused scripts, dialogs that something opened. */
  readonly faults: string[] = []

  private constructor(directory: string, ports: { mqtt: number; http: number }) {
    this.#directory = directory
    this.url = `http://127.0.0.1:${ports.http}`
    this.mqttUrl = `mqtt://127.0.0.1:${ports.mqtt}`
    this.broker = new BrokerProcess(['--config', join(directory, 'headwater.yaml')], {
      environment: { HEADWATER_HTTP_ADDRESS: `127.0.0.1:${ports.http}` },
    })
  }

  /** @param token asked for by the API */
  static async start({ token }: { token?: string } = {}): Promise<Stage> {
    const directory = await mkdtemp(join(tmpdir(), 'headwater-page-'))
    const ports = { mqtt: await freePort(), http: await freePort() }
    const listener = `data: ./data\nmqtt: { listeners: [{ address: "127.0.0.1:${ports.mqtt}" }] }\n`
    const http = token === undefined ? '' : 'http: { tokenFile: ./token }\n'
    await writeFile(join(directory, 'headwater.yaml'), listener + http + STREAMS)
    if (token !== undefined) await writeFile(join(directory, 'token'), `${token}\n`)
    const stage = new Stage(directory, ports)
    await stage.broker.start()
    return stage
  }

  async client(options: IClientOptions = {}): Promise<MqttClient> {
    const client = await mqtt.connectAsync(this.mqttUrl, {
      protocolVersion: 5,
      reconnectPeriod: 0,
      ...options,
    })
    client.on('error', () => {})
    this.#clients.push(client)
    return client
  }

  /** What the API says. */
  async api<T>(path: string): Promise<T> {
    const response = await fetch(`${this.url}/api/v1/${path}`)
    expect(response.status).toBe(200)
    return (await response.json()) as T
  }

  async page(browser: Browser, view = 'overview', options: BrowserContextOptions = {}): Promise<Page> {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options })
    const page = await context.newPage()
    page.setDefaultTimeout(WAIT_MS_MAX)
    this.#pages.push(page)
    page.on('pageerror', (error) => this.faults.push(`error: ${error.stack}`))
    page.on('dialog', (dialog) => {
      this.faults.push(`dialog: ${dialog.message()}`)
      void dialog.dismiss()
    })
    page.on('console', (message) => {
      // A broker that is away, or asks for a token, is told of by the browser itself.
      if (message.type() === 'error' && !/Failed to load resource/.test(message.text())) {
        this.faults.push(`console: ${message.text()}`)
      }
    })
    page.on('request', (request) => {
      if (!request.url().startsWith(this.url)) this.faults.push(`asked elsewhere: ${request.url()}`)
    })
    await page.goto(`${this.url}/#${view}`)
    return page
  }

  async closePages(): Promise<void> {
    await Promise.all(this.#pages.splice(0).map((page) => page.context().close()))
  }

  async close(): Promise<void> {
    await this.closePages()
    await Promise.all(this.#clients.splice(0).map((client) => client.endAsync(true)))
    await this.broker.end('SIGKILL')
    await rm(this.#directory, { recursive: true, force: true })
  }
}

/** Waits until it is so. */
export const until = <T>(look: () => Promise<T> | T) =>
  expect.poll(look, { timeout: WAIT_MS_MAX, interval: 100 })

/** A figure by its name. */
export function figure(page: Page, name: string): Promise<string> {
  return page
    .locator('.figure')
    .filter({ has: page.getByText(name, { exact: true }) })
    .innerText()
}

/** The texts of a table's rows, cell by cell. */
export function cells(page: Page, label: string): Promise<string[][]> {
  return page
    .getByRole('region', { name: label })
    .locator('tbody tr')
    .evaluateAll((rows) =>
      rows.map((row) =>
        [...row.querySelectorAll('th, td')].map((cell) =>
          (cell as HTMLElement).innerText.trim().replace(/\s+/g, ' '),
        ),
      ),
    )
}
