/** What the page shows is what the API says, what it does is done, and it outlives its broker. */
import type { MqttClient } from 'mqtt'
import type { Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import type {
  Alarm,
  ClientStatus,
  StatusReport,
  UpstreamStatus,
} from '../../../broker/dashboard/api/types.ts'
import { bytes, count } from '../../../broker/dashboard/text/units.ts'
import { describeWithChromium } from '../../support/chromium.ts'
import { cells, figure, Stage, TEST_MS_MAX, until } from './stage.ts'

const MESSAGES = 240
const DEVICES = 120

describeWithChromium('the page', (browser) => {
  let stage: Stage
  let pump: MqttClient
  let valve: MqttClient

  beforeAll(async () => {
    stage = await Stage.start()
    pump = await stage.client({ clientId: 'pump-1' })
    valve = await stage.client({ clientId: 'valve-2', protocolVersion: 4 })
    for (let i = 0; i < MESSAGES; i++) {
      await pump.publishAsync(`plant/${i % 7}/temperature`, `${i}`, { qos: 1 })
    }
    for (let i = 0; i < DEVICES; i++) {
      const state = JSON.stringify({ device: i, state: 'on' })
      await valve.publishAsync(`device/${String(i).padStart(4, '0')}`, state, { qos: 1 })
    }
  }, TEST_MS_MAX)
  afterEach(async () => {
    await stage.closePages()
    expect(stage.faults.splice(0)).toEqual([])
  })
  afterAll(() => stage.close())

  const upstream = async (): Promise<UpstreamStatus> => {
    return (await stage.api<{ upstreams: UpstreamStatus[] }>('upstreams')).upstreams[0]!
  }
  const names = async (page: Page) => (await cells(page, 'Connected clients')).map(([name]) => name)
  const titles = (page: Page) => page.locator('.record-title').allInnerTexts()
  const values = (page: Page) => page.locator('.record-value').allInnerTexts()

  it('shows streams, partitions and lag as the API has them', { timeout: TEST_MS_MAX }, async () => {
    await until(async () => (await upstream()).lagRecords).toBe(0)
    const page = await stage.page(browser(), 'streams')
    const report = await stage.api<StatusReport>('status')
    const expected = report.streams.map(({ stream, records, bytes: size, partitions }) => [
      stream === 'devices' ? `devices table, ${DEVICES} keys` : stream,
      count(records),
      bytes(size),
      stream === 'devices' ? 'newest of each key' : '7 d',
      `${partitions.length}`,
      '0',
    ])
    expect(expected.map((row) => row[1])).toEqual([`${DEVICES}`, `${MESSAGES}`])
    const label = 'Streams and their partitions'
    await until(async () => (await cells(page, label)).map((row) => row.slice(0, 6))).toEqual(expected)
    await page.getByRole('button', { name: 'events' }).click()
    const partitions = report.streams.find(({ stream }) => stream === 'events')!.partitions
    const rows = (await cells(page, label)).filter(([name]) => name!.startsWith('partition'))
    expect(rows.map((row) => [row[0], row[1], row[3]])).toEqual(
      partitions.map(({ partition, records, logStartOffset, durableOffset }) => [
        `partition ${partition}`,
        count(records),
        `offsets ${count(logStartOffset)} to ${count(durableOffset)}`,
      ]),
    )
  })

  it('shows the broker, its upstream and its history', { timeout: TEST_MS_MAX }, async () => {
    const page = await stage.page(browser())
    const { broker } = await stage.api<StatusReport>('status')
    await until(() => figure(page, 'Messages in')).toContain(`${count(broker!.ingress.received)} in all`)
    expect(broker!.ingress.received).toBe(MESSAGES + DEVICES)
    await until(() => figure(page, 'Clients')).toMatch(/^Clients\s+2\s/)
    const { alarms } = await stage.api<{ alarms: Alarm[] }>('alarms')
    const badge = alarms.length === 0 ? '' : `(${alarms.length}) `
    await until(() => page.title()).toBe(`${badge}${broker!.edge} \u2013 Headwater`)
    expect(await page.locator('.alarm').count()).toBe(alarms.length)
    expect(await page.locator('#main').innerText()).toContain(broker!.incarnation)
    await page.goto(`${stage.url}/#upstreams`)
    await until(async () => (await upstream()).sentRecords).toBe(MESSAGES + DEVICES)
    await until(() => figure(page, 'Sent since the start')).toContain(count(MESSAGES + DEVICES))
    await page.goto(`${stage.url}/#overview`)
    // Both, when the pointer is on it: the time of a sample that there is, and its value.
    await until(
      async () => (await stage.api<{ samples: unknown[] }>('history')).samples.length,
    ).toBeGreaterThan(2)
    await until(async () => {
      await page
        .locator('.plot')
        .first()
        .hover({ position: { x: 400, y: 60 } })
      return page.locator('.chart').first().innerText()
    }).toMatch(/Throughput\s+\d\d:\d\d:\d\d\s+messages in [\d.]+k?\/s/)
  })

  it('shows alarms with what to do, the worst first, and counts them in the title', {
    timeout: TEST_MS_MAX,
  }, async () => {
    const alarm = { subject: 'card', summary: 'it stands', hint: 'run `headwater sync now card`', since: 0 }
    const alarms: Alarm[] = [
      { ...alarm, id: 'note', severity: 'info' },
      { ...alarm, id: 'stalled', severity: 'warning' },
      { ...alarm, id: 'disk-full', severity: 'critical', summary: '<b>full</b>' },
    ]
    const page = await stage.page(browser(), 'streams')
    await page.route('**/api/v1/alarms', (route) => route.fulfill({ json: { alarms } }))
    await until(() => page.title()).toMatch(/^\(3\) /)
    await page.getByRole('link', { name: '3 alarms' }).click()
    await until(() => page.locator('.alarm b').allInnerTexts()).toEqual(['critical', 'warning', 'info'])
    expect(await page.locator('.alarm').first().innerText()).toContain('<b>full</b>')
    expect(await page.locator('.alarm .hint code').first().innerText()).toBe('headwater sync now card')
    alarms.length = 0
    await until(() => page.locator('.alarms').innerText()).toContain('No alarms.')
    expect(await page.title()).not.toContain('(')
  })

  it('lists clients, sorted and filtered, and disconnects one that is confirmed', {
    timeout: TEST_MS_MAX,
  }, async () => {
    const page = await stage.page(browser(), 'clients')
    await until(() => names(page)).toEqual(['pump-1', 'valve-2'])
    const { clients } = await stage.api<{ clients: ClientStatus[] }>('clients')
    const row = (await cells(page, 'Connected clients'))[0]!
    expect([row[1], row[2], row[3], row[6], row[8]]).toEqual([
      '\u2013',
      clients.find(({ clientId }) => clientId === 'pump-1')!.address,
      '5',
      `${MESSAGES}`,
      bytes(clients.find(({ clientId }) => clientId === 'pump-1')!.bytesIn),
    ])
    await page.getByRole('button', { name: 'Messages in' }).click()
    expect(await names(page)).toEqual(['pump-1', 'valve-2'])
    await page.getByRole('button', { name: 'Messages in' }).click()
    expect(await names(page)).toEqual(['valve-2', 'pump-1'])
    await page.getByRole('searchbox').fill('PUMP')
    expect(await names(page)).toEqual(['pump-1'])
    await page.getByRole('searchbox').fill('')

    const extra = await stage.client({ clientId: 'extra' })
    const reason = new Promise((resolve) => extra.once('disconnect', ({ reasonCode }) => resolve(reasonCode)))
    const disconnect = page.getByRole('button', { name: 'Disconnect extra' })
    await disconnect.click()
    expect(await page.getByRole('dialog').innerText()).toContain('Disconnect extra?')
    await page.getByRole('button', { name: 'Cancel' }).click()
    await until(() => page.getByRole('dialog').count()).toBe(0)
    expect(extra.connected).toBe(true)
    await disconnect.click()
    await page.getByRole('dialog').getByRole('button', { name: 'Disconnect' }).click()
    // 0x98: administrative action
    expect(await reason).toBe(0x98)
    await until(() => page.locator('.notice').innerText()).toBe('extra was disconnected.')
    await until(() => names(page)).not.toContain('extra')
    expect((await stage.api<{ clients: ClientStatus[] }>('clients')).clients).toHaveLength(2)
  })

  it('tells in one line why an action was refused', { timeout: TEST_MS_MAX }, async () => {
    const gone = await stage.client({ clientId: 'gone' })
    const page = await stage.page(browser(), 'clients')
    await page.getByRole('button', { name: 'Disconnect gone' }).click()
    await gone.endAsync(true)
    await until(async () => (await stage.api<{ clients: ClientStatus[] }>('clients')).clients.length).toBe(2)
    await page.getByRole('dialog').getByRole('button', { name: 'Disconnect' }).click()
    await until(() => page.getByRole('dialog').getByRole('alert').innerText()).toMatch(/gone.* \u2013 /)
    await page.keyboard.press('Escape')
    await until(() => page.getByRole('dialog').count()).toBe(0)
  })

  it('pauses and resumes an upstream, and compacts a stream', { timeout: TEST_MS_MAX }, async () => {
    const page = await stage.page(browser(), 'upstreams')
    const state = async () => (await upstream()).state
    const confirm = async (button: string, verb: string) => {
      await page.getByRole('button', { name: button }).click()
      const before = await state()
      await page.getByRole('dialog').getByRole('button', { name: verb }).click()
      await until(() => page.getByRole('dialog').count()).toBe(0)
      return before
    }
    await until(async () => (await upstream()).sentRecords).toBeGreaterThanOrEqual(MESSAGES + DEVICES)
    await until(state).toBe('idle')
    expect([await confirm('Pause card', 'Pause'), await state()]).toEqual(['idle', 'paused'])
    await until(() => page.locator('.card-head').innerText()).toContain('paused')
    await valve.publishAsync('device/0000', 'newer', { qos: 1 })
    await until(() => figure(page, 'Lag')).toMatch(/Lag\s+1\s/)
    expect(await confirm('Resume card', 'Resume')).toBe('paused')
    await until(async () => (await upstream()).lagRecords).toBe(0)
    await until(() => page.locator('.card-head').innerText()).toContain('idle')

    await page.goto(`${stage.url}/#streams`)
    await page.getByRole('button', { name: 'Compact devices' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Compact' }).click()
    await until(() => page.locator('.notice').innerText()).toBe('devices is compacted.')
  })

  it('pages through a table and finds keys by their beginning', { timeout: TEST_MS_MAX }, async () => {
    const page = await stage.page(browser(), 'tables')
    const key = (i: number) => `device/${String(i).padStart(4, '0')}`
    const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => key(from + i))
    await until(() => titles(page)).toEqual(range(0, 50))
    expect((await values(page))[1]).toBe('{"device":1,"state":"on"}')
    await page.getByRole('button', { name: 'Next' }).click()
    await until(() => titles(page)).toEqual(range(50, 100))
    await page.getByRole('button', { name: 'Next' }).click()
    await until(() => titles(page)).toEqual(range(100, DEVICES))
    expect(await page.getByRole('button', { name: 'Next' }).isDisabled()).toBe(true)
    await page.getByRole('button', { name: 'Previous' }).click()
    await until(() => titles(page)).toEqual(range(50, 100))
    await page.getByRole('searchbox').fill('device/001')
    await until(() => titles(page)).toEqual(range(10, 20))
    await page.locator('.record summary').first().click()
    await until(() => page.locator('.payload pre').innerText()).toBe('{\n  "device": 10,\n  "state": "on"\n}')
  })

  it('follows a stream with filters, from now and from the past, and can be paused', {
    timeout: TEST_MS_MAX,
  }, async () => {
    const page = await stage.page(browser(), 'tail?stream=events')
    await until(() => page.locator('.card-head').innerText()).toContain('following')
    const known = async (text: string) => {
      await pump.publishAsync('plant/9/level', text, { qos: 1 })
      await until(async () => (await values(page))[0]).toBe(text)
    }
    await known('first')
    await known('second')
    expect(await values(page)).toEqual(['second', 'first'])
    await page.getByRole('button', { name: 'Pause' }).click()
    await pump.publishAsync('plant/9/level', 'third', { qos: 1 })
    await until(() => page.locator('.card-head').innerText()).toContain('paused')
    expect(await values(page)).toEqual(['second', 'first'])
    await page.getByRole('button', { name: 'Continue' }).click()
    await until(() => values(page)).toEqual(['third', 'second', 'first'])

    await page.getByLabel('From').selectOption('earliest')
    await until(() => page.locator('.record').count()).toBe(MESSAGES + 3)
    await page.getByLabel('Topic or key').fill('PLANT/3/')
    await page.getByLabel('Text').fill('17')
    const matching = Array.from({ length: MESSAGES }, (_, i) => i).filter(
      (i) => i % 7 === 3 && `${i}`.includes('17'),
    )
    await until(() => values(page)).toEqual(matching.map(String))
    expect(await page.locator('.card-head').innerText()).toContain(`${matching.length} matching`)
  })

  it('shows bytes in hex, and the whole of what is long when it is asked to', {
    timeout: TEST_MS_MAX,
  }, async () => {
    const page = await stage.page(browser(), 'tail?stream=events')
    await until(() => page.locator('.card-head').innerText()).toContain('following')
    await pump.publishAsync('plant/9/raw', Buffer.from([0, 255, 104, 105]), { qos: 1 })
    await until(() => values(page)).toEqual(['00 ff 68 69'])
    await page.locator('.record summary').first().click()
    await until(() => page.locator('.payload pre').innerText()).toMatch(/^00000000 {2}00 ff 68 69 +\.\.hi$/)
    await pump.publishAsync('plant/9/long', 'x'.repeat(20_000), { qos: 1 })
    await until(async () => (await titles(page))[0]).toBe('plant/9/long')
    const long = page.locator('.record').first()
    await long.locator('summary').click()
    await until(async () => (await long.locator('pre').innerText()).length).toBe(4_001)
    await long.getByRole('button', { name: 'show all 20 kB' }).click()
    await until(async () => (await long.locator('pre').innerText()).length).toBe(20_000)
  })

  it('outlives a broker that is killed and started again, without being loaded again', {
    timeout: TEST_MS_MAX,
  }, async () => {
    const page = await stage.page(browser(), 'tail?stream=events')
    await until(() => page.locator('.card-head').innerText()).toContain('following')
    await pump.publishAsync('plant/9/level', 'before', { qos: 1 })
    await until(() => values(page)).toEqual(['before'])
    await page.evaluate(() => Object.assign(window, { isTheSame: true }))

    await stage.broker.end('SIGKILL')
    await until(() => page.locator('.banner').innerText()).toContain('The broker does not answer')
    expect(await page.locator('.view').getAttribute('class')).toContain('stale')
    expect(await values(page)).toEqual(['before'])

    await stage.broker.start()
    await until(() => page.locator('.banner').count()).toBe(0)
    await until(() => page.locator('.card-head').innerText()).toContain('following')
    const again = await stage.client({ clientId: 'pump-1' })
    await again.publishAsync('plant/9/level', 'after', { qos: 1 })
    await until(() => values(page)).toEqual(['after', 'before'])
    expect(await page.evaluate(() => 'isTheSame' in window)).toBe(true)
  })
})

describeWithChromium('the page of a broker with a token', (browser) => {
  let stage: Stage
  const token = 'a token of a plant, 0123456789'.replaceAll(/[ ,]/g, '-')
  beforeAll(async () => {
    stage = await Stage.start({ token })
  }, TEST_MS_MAX)
  afterAll(() => stage.close())

  it('asks for it, says when it is wrong, and keeps it for this tab', { timeout: TEST_MS_MAX }, async () => {
    const page = await stage.page(browser())
    const field = page.getByLabel('Token')
    await field.fill('not-the-one-at-all')
    await page.getByRole('button', { name: 'Open' }).click()
    await until(() => page.locator('form.token').getByRole('alert').innerText()).toContain(
      'the token is wrong',
    )
    expect(await page.locator('.figures').count()).toBe(0)
    await field.fill(token)
    await page.getByRole('button', { name: 'Open' }).click()
    await until(() => page.locator('.figures').count()).toBe(1)
    await page.reload()
    await until(() => page.locator('.figures').count()).toBe(1)
    const other = await stage.page(browser())
    await until(() => other.getByLabel('Token').count()).toBe(1)
    expect(stage.faults).toEqual([])
  })
})
