/** The page on screens of every kind, and for those who do not see it. */

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { MqttClient } from 'mqtt'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { describeWithChromium } from '../../support/chromium.ts'
import { Stage, TEST_MS_MAX, until } from './stage.ts'

const VIEWS = ['overview', 'streams', 'upstreams', 'clients', 'tail', 'tables']
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
/** Longer than any screen, without a place to break. */
const LONG = 'x'.repeat(300)

describeWithChromium('the looks of the page', (browser) => {
  let stage: Stage
  let client: MqttClient

  beforeAll(async () => {
    stage = await Stage.start()
    client = await stage.client({ clientId: LONG.slice(0, 128) })
    await client.publishAsync(`device/${LONG}`, JSON.stringify({ [LONG]: LONG }), { qos: 1 })
  }, TEST_MS_MAX)
  afterAll(() => stage.close())

  /** Each view once it shows something. */
  const visit = async (page: Page, view: string) => {
    await page.goto(`${stage.url}/#${view}`)
    await until(() => page.locator('main .card').count()).toBeGreaterThan(0)
    if (view === 'clients') await until(() => page.locator('tbody tr').count()).toBe(1)
    if (view === 'streams') await page.getByRole('button', { name: 'devices', exact: true }).click()
    if (view === 'tail') await page.getByLabel('From').selectOption('earliest')
    if (view === 'tail' || view === 'tables') await page.locator('.record summary').first().click()
  }

  for (const width of [360, 768, 1280, 1920]) {
    it(`is never wider than a screen of ${width} pixels`, { timeout: TEST_MS_MAX }, async () => {
      const page = await stage.page(browser(), 'overview', { viewport: { width, height: 800 } })
      for (const view of VIEWS) {
        await visit(page, view)
        const wider = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)
        expect(wider, view).toBeLessThanOrEqual(0)
      }
      await stage.closePages()
    })
  }

  it('cuts a long name, so that it pushes no number out of sight', { timeout: TEST_MS_MAX }, async () => {
    const page = await stage.page(browser(), 'overview', { viewport: { width: 1280, height: 800 } })
    for (const [view, name] of [
      ['overview', 'th.name a'],
      ['streams', 'th.name .opener span'],
      ['clients', 'th.name'],
    ] as const) {
      await page.goto(`${stage.url}/#${view}`)
      const row = page.locator(`main tr:has(${name})`).first()
      await row.waitFor()
      const seen = await row.evaluate(
        (element, { selector, text }) => {
          element.querySelector(selector)!.textContent = text
          const number = element.querySelector('td.number')!.getBoundingClientRect()
          const card = element.closest('.card')!.getBoundingClientRect()
          return { number: number.right, card: card.right }
        },
        { selector: name, text: LONG },
      )
      expect(seen.number, view).toBeLessThan(seen.card)
    }
    await stage.closePages()
  })

  for (const colorScheme of ['light', 'dark'] as const) {
    it(`has no serious fault of accessibility, ${colorScheme}`, { timeout: TEST_MS_MAX }, async () => {
      const page = await stage.page(browser(), 'overview', { colorScheme })
      await page.context().addInitScript({ content: AXE })
      await page.reload()
      const check = async (place: string) => {
        const violations = await page.evaluate(async () => {
          const { axe } = window as unknown as { axe: typeof import('axe-core') }
          const found = await axe.run(document, { resultTypes: ['violations'] })
          return found.violations.map(({ id, impact, nodes }) => ({
            id,
            impact,
            nodes: nodes.map((node) => `${node.html.slice(0, 200)}: ${node.failureSummary}`),
          }))
        })
        const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')
        expect(serious, place).toEqual([])
      }
      for (const view of VIEWS) {
        await visit(page, view)
        await check(view)
      }
      await page.goto(`${stage.url}/#clients`)
      await page.locator('tbody').getByRole('button', { name: 'Disconnect' }).click()
      await check('a question')
      await stage.closePages()
    })
  }

  it('is dark where the system is, and as it was chosen, also after it was loaded again', {
    timeout: TEST_MS_MAX,
  }, async () => {
    const page = await stage.page(browser(), 'overview', { colorScheme: 'dark' })
    const isDark = () =>
      page.evaluate(() => {
        const [red = 255] = /\d+/.exec(getComputedStyle(document.documentElement).backgroundColor) ?? []
        return Number(red) < 128
      })
    await until(() => page.locator('main .card').count()).toBeGreaterThan(0)
    expect(await isDark()).toBe(true)
    await page.getByRole('button', { name: 'Colours: as the system' }).click()
    await until(isDark).toBe(false)
    await page.reload()
    await until(() => page.getByRole('button', { name: 'Colours: light' }).count()).toBe(1)
    expect(await isDark()).toBe(false)
    await page.getByRole('button', { name: 'Colours: light' }).click()
    await until(isDark).toBe(true)
    await page.getByRole('button', { name: 'Colours: dark' }).click()
    await page.emulateMedia({ colorScheme: 'light' })
    await until(isDark).toBe(false)
    await stage.closePages()
  })

  it('can be used with the keyboard alone', { timeout: TEST_MS_MAX }, async () => {
    const page = await stage.page(browser())
    await until(() => page.locator('main .card').count()).toBeGreaterThan(0)
    const focused = () => page.evaluate(() => (document.activeElement as HTMLElement).innerText.trim())
    const walkTo = async (text: string) => {
      for (let i = 0; i < 60 && (await focused()) !== text; i++) await page.keyboard.press('Tab')
      expect(await focused()).toBe(text)
    }
    await page.keyboard.press('Tab')
    expect(await focused()).toBe('To the content')
    await walkTo('Upstreams')
    await page.keyboard.press('Enter')
    await until(() => page.getByRole('button', { name: 'Pause card' }).count()).toBe(1)
    await walkTo('Pause')
    await page.keyboard.press('Enter')
    await until(() => page.getByRole('dialog').count()).toBe(1)
    await walkTo('Cancel')
    await page.keyboard.press('Enter')
    await until(() => page.getByRole('dialog').count()).toBe(0)
    expect(await focused()).toBe('Pause')
    expect(stage.faults).toEqual([])
  })
})
