/** Whatever comes from outside is text: none of it runs, wherever the page shows it. */
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { describeWithChromium } from '../../support/chromium.ts'
import { cells, Stage, TEST_MS_MAX, until } from './stage.ts'

/** Each would call what the test can see. `/`, `+` and `#` have a meaning of their own in topics. */
const CALL = 'window.wasRun=1;alert(1)'
const ATTACKS = [
  `<script>${CALL}</script>`,
  `"><script>${CALL}</script>`,
  `</title><script>${CALL}</script>`,
  `</script><script>${CALL}</script>`,
  `<img src=x onerror="${CALL}">`,
  `'"><svg onload=${CALL}>`,
  `<iframe srcdoc="<script>parent.${CALL}</script>">`,
  `<details open ontoggle=${CALL}>`,
  `<a href="javascript:${CALL}">x</a>`,
  `javascript:${CALL}`,
  `<style>@import "//evil.example"; body{display:none}</style>`,
  `<base href="//evil.example"><meta http-equiv=refresh content=0>`,
  `<math><mtext><table><mglyph><style><!--</style><img title="--><img src=x onerror=${CALL}>">`,
  `{{constructor.constructor("${CALL}")()}}`,
  `\${${CALL}}`,
  `{"__proto__":{"wasRun":1},"dangerouslySetInnerHTML":{"__html":"<img src=x onerror=${CALL}>"}}`,
  `[{"type":"img","props":{"onerror":"${CALL}"}}]`,
  '\u202e<script>\u2066',
  '__proto__',
  'constructor',
]
const asLevel = (text: string) => text.replaceAll(/[/+#]/g, '')

describeWithChromium('the page among hostile clients', (browser) => {
  let stage: Stage

  beforeAll(async () => {
    stage = await Stage.start()
    for (const attack of ATTACKS) {
      const client = await stage.client({ clientId: attack, username: attack })
      const properties = {
        contentType: attack,
        responseTopic: asLevel(attack),
        correlationData: Buffer.from(attack),
        userProperties: { [attack]: attack },
      }
      for (const topic of [`plant/${asLevel(attack)}/x`, `device/${asLevel(attack)}`]) {
        await client.publishAsync(topic, attack, { qos: 1, properties })
      }
    }
  }, TEST_MS_MAX)
  afterAll(() => stage.close())

  /** All rows, keys, headers and values of them. */
  const openAll = async (page: Page, rows: number) => {
    await until(() => page.locator('.record').count()).toBe(rows)
    for (const summary of await page.locator('.record summary').all()) await summary.click()
    await until(() => page.locator('.record-body').count()).toBe(rows)
  }
  const harm = (page: Page) =>
    page.evaluate(() => {
      const own = document.querySelectorAll(
        'script, iframe, object, embed, base, style, img, svg, a, link, form',
      )
      const foreign = [...own].filter((element) => {
        const { tagName } = element
        if (tagName === 'SCRIPT') return !(element as HTMLScriptElement).src.endsWith('/app.js')
        if (tagName === 'LINK') return !/(app\.css|icon\.svg)$/.test((element as HTMLLinkElement).href)
        if (tagName === 'A') return !/^#[a-z]/.test(element.getAttribute('href') ?? '')
        return !['svg', 'FORM'].includes(tagName)
      })
      const handlers = [...document.querySelectorAll('*')].filter((element) =>
        element.getAttributeNames().some((name) => /^on|^srcdoc$/.test(name)),
      )
      return {
        wasRun: 'wasRun' in window || 'wasRun' in {},
        foreign: foreign.map((element) => element.outerHTML),
        handlers: handlers.map((element) => element.outerHTML),
      }
    })
  const nothing = { wasRun: false, foreign: [], handlers: [] }

  it('shows their records as they are, and runs nothing of them', { timeout: TEST_MS_MAX }, async () => {
    const page = await stage.page(browser(), 'tail?stream=events')
    await page.getByLabel('From').selectOption('earliest')
    await openAll(page, ATTACKS.length)
    const shown = await page.locator('.record pre').allTextContents()
    for (const attack of ATTACKS.filter((text) => !/^[[{\u202e]/.test(text))) expect(shown).toContain(attack)
    expect(shown).toContain('\\u202e<script>\\u2066')
    expect(await harm(page)).toEqual(nothing)
    await page.getByLabel('Topic or key').fill(ATTACKS[4]!)
    await page.getByLabel('Text').fill(ATTACKS[0]!)
    await until(() => page.locator('.empty').count()).toBe(1)
    expect(await harm(page)).toEqual(nothing)
  })

  it('shows their entries in tables, their client ids and users, and runs nothing of them', {
    timeout: TEST_MS_MAX,
  }, async () => {
    const page = await stage.page(browser(), 'tables')
    await openAll(page, ATTACKS.length)
    expect(await harm(page)).toEqual(nothing)
    await page.goto(`${stage.url}/#clients`)
    await until(async () => (await cells(page, 'Connected clients')).length).toBe(ATTACKS.length)
    const names = (await cells(page, 'Connected clients')).map(([name]) => name)
    for (const attack of ATTACKS.filter((text) => !text.includes('\u202e'))) expect(names).toContain(attack)
    await page.getByRole('button', { name: `Disconnect ${ATTACKS[0]}`, exact: true }).click()
    expect(await page.getByRole('dialog').locator('h2').innerText()).toBe(`Disconnect ${ATTACKS[0]}?`)
    await page.getByRole('dialog').getByRole('button', { name: 'Disconnect' }).click()
    await until(() => page.locator('.notice').innerText()).toBe(`${ATTACKS[0]} was disconnected.`)
    expect(await harm(page)).toEqual(nothing)
  })

  it('is led nowhere by its own address', { timeout: TEST_MS_MAX }, async () => {
    const page = await stage.page(browser())
    for (const attack of ATTACKS) {
      for (const view of ['tail', 'tables', attack]) {
        await page.evaluate(
          (hash) => {
            location.hash = hash
          },
          `${view}?stream=${encodeURIComponent(attack)}`,
        )
        await until(() => page.locator('main section').count()).toBeGreaterThan(0)
      }
      expect(await harm(page), attack).toEqual(nothing)
    }
  })

  it('asked no other host, opened no dialog and was refused no script', () => {
    expect(stage.faults).toEqual([])
  })

  it('could not run a script if one came into it', { timeout: TEST_MS_MAX }, async () => {
    const page = await stage.page(browser())
    await until(() => page.locator('.figures').count()).toBe(1)
    const refused = await page.evaluate(() => {
      const faults: string[] = []
      try {
        document.body.innerHTML = '<img src=x onerror="window.wasRun=1">'
      } catch (error) {
        faults.push((error as Error).name)
      }
      return faults
    })
    expect(refused).toEqual(['TypeError'])
    expect((await harm(page)).wasRun).toBe(false)
    stage.faults.length = 0
  })
})
