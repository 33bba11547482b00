/** The dashboard: what it asks for exists, and Grafana can show it. */
import { describe, expect, it } from 'vitest'
import { UPSTREAM_STATES } from '../../broker/operations/metrics/samples.ts'
import { dashboardText } from '../../deploy/raspberry-pi/grafana/dashboard.ts'
import { allPanels, DASHBOARD_FILE, filledIn, type GrafanaPanel, readDashboard } from './dashboard.ts'
import { leadsSomewhere } from './docs.ts'
import { expressionFaults, labelsOf } from './judge.ts'
import { KNOWN } from './known-metrics.ts'
import { asked } from './promql.ts'

it('the file is what its sources make: -u writes it anew', async () => {
  await expect(dashboardText()).toMatchFileSnapshot(DASHBOARD_FILE)
})

describe('the judge of expressions', () => {
  it.each([
    ['rate(headwater_mesages_received_total[1m])', /no metric headwater_mesages_received_total/],
    ['headwater_stream_bytes{topic="a"}', /no label topic/],
    ['sum by (topic) (headwater_stream_bytes)', /nothing asked for has a label topic/],
    ['sum by (stream (headwater_stream_bytes)', /⚠/],
    ['headwater_stream_bytes{stream="a"', /⚠/],
    ['rate(headwater_stream_bytes[1m])', /no counter/],
    ['vector(1)', /no metric/],
  ])('finds the fault of %s', (expression, fault) => {
    expect(expressionFaults(expression).join('\n')).toMatch(fault)
  })

  it('knows the labels of a bridge, and those of buckets', () => {
    expect(KNOWN.get('headwater_bridge_link_dropped_frames_total')?.labels).toEqual([
      'link',
      'reason',
      'job',
      'instance',
    ])
    expect(expressionFaults('sum by (le) (rate(headwater_commit_duration_seconds_bucket[1m]))')).toEqual([])
    expect(asked('a{b="c",d=~"e"} + on (f) g').selectors).toEqual([
      {
        metric: 'a',
        matchers: [
          ['b', 'c'],
          ['d', null],
        ],
      },
      { metric: 'g', matchers: [] },
    ])
  })
})

const dashboard = readDashboard()
const panels = allPanels(dashboard)
const shown = panels.filter(({ type }) => type !== 'row')
const named = shown.map((panel): [string, GrafanaPanel] => [`${panel.id} ${panel.title}`, panel])
const targets = named.flatMap(([name, panel]) =>
  panel.targets!.map((target) => [`${name} ${target.refId}`, target] as const),
)

describe('Grafana', () => {
  it('gets a dashboard that it can import, whatever it has already', () => {
    expect(dashboard).toMatchObject({ uid: 'headwater', title: 'Headwater' })
    // a number of its own would overwrite what has it
    expect(dashboard.id).toBeUndefined()
    expect(dashboard.schemaVersion).toBeGreaterThanOrEqual(39)
    expect(panels.length).toBeGreaterThan(60)
  })

  it('finds every panel by an id that no other has', () => {
    const ids = panels.map(({ id }) => id)
    expect(ids.filter((id, index) => ids.indexOf(id) !== index || !Number.isInteger(id))).toEqual([])
  })

  it('finds a place for every panel, none over another', () => {
    for (const { title, gridPos } of panels) {
      const { x, y, w, h } = gridPos
      expect([title, x >= 0 && y >= 0 && w > 0 && h > 0 && x + w <= 24]).toEqual([title, true])
    }
    const open = dashboard.panels
    const closed = open.map(({ panels: inside }) => inside ?? [])
    for (const group of [open, ...closed]) expect(overlaps(group)).toEqual([])
  })

  it('finds rows whose panels it can open: closed ones hold them, open ones are followed by them', () => {
    const rows = dashboard.panels.filter(({ type }) => type === 'row')
    expect(rows.map(({ title }) => title)).toEqual([
      'Fleet',
      'Ingest',
      'Commits',
      'Log and disk',
      'Upstream',
      'MQTT',
      'Bridge',
      'Clock',
      'Process',
    ])
    for (const { title, collapsed, panels: inside } of rows)
      expect([title, inside!.length > 0]).toEqual([title, collapsed])
  })

  it('knows the variables that are used, and uses those it knows', () => {
    const text = JSON.stringify(dashboard)
    const used = new Set([...text.matchAll(/\$\{?([a-z]\w*)/g)].map(([, name]) => name!))
    const known = dashboard.templating.list.map(({ name }) => name)
    expect([...used].toSorted()).toEqual(known.toSorted())
    expect(dashboard.templating.list[0]).toMatchObject({
      name: 'datasource',
      type: 'datasource',
      query: 'prometheus',
    })
  })

  it.each(
    dashboard.templating.list.flatMap(({ name, type, query }) =>
      type === 'query' ? [[name, (query as { query: string }).query]] : [],
    ),
  )('can ask for the values of the variable %s', (_, query) => {
    const [, selector, label] = /^label_values\((.+), (\w+)\)$/.exec(query!)!
    expect(expressionFaults(selector!)).toEqual([])
    expect(labelsOf(selector!)).toContain(label)
  })
})

describe('a panel', () => {
  it.each(named)('%s says what it shows, in which unit, and where more is written', (_, panel) => {
    expect(panel.description).toMatch(/\S.*\.$/)
    expect(panel.datasource).toEqual({ type: 'prometheus', uid: '$datasource' })
    expect(panel.links!.length).toBeGreaterThan(0)
    for (const { url } of panel.links!) {
      expect(url).toMatch(/^\$\{docs\}\/\w+\.md/)
      expect([url, leadsSomewhere(url.replace(/^[^/]+\//, ''))]).toEqual([url, true])
    }
    if (panel.type === 'timeseries' || panel.type === 'stat')
      expect(panel.fieldConfig!.defaults.unit).toBeTruthy()
    if (panel.type === 'heatmap') expect(panel.options!.yAxis!.unit).toBe('s')
    const steps = panel.fieldConfig!.defaults.thresholds?.steps ?? []
    // the first is of all below, and they rise
    expect(
      steps.every(({ value }, index) =>
        index === 0 ? value === null : value! > (steps[index - 1]!.value ?? -Infinity),
      ),
    ).toBe(true)
  })

  it.each(named)('%s asks with letters of its own', (_, panel) => {
    const letters = panel.targets!.map(({ refId }) => refId)
    expect(new Set(letters).size).toBe(letters.length)
    expect(letters.length).toBeGreaterThan(0)
  })

  it.each(targets)('%s asks for what there is', (_, { expr, legendFormat, datasource }) => {
    expect(expressionFaults(filledIn(expr, '1m'))).toEqual([])
    expect(datasource).toEqual({ type: 'prometheus', uid: '$datasource' })
    const labels = labelsOf(filledIn(expr, '1m'))
    for (const [, label] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) expect(labels).toContain(label)
  })

  it.each(targets)('%s is of the edges that are chosen', (name, { expr }) => {
    // what is away has no instance to choose; a recorded one is of all
    if (name.startsWith('102 ')) return
    for (const { matchers } of asked(filledIn(expr, '1m')).selectors)
      expect(matchers.map(([label]) => label)).toContain('instance')
  })
})

it('the state of an upstream has a bar for each state there is', () => {
  const panel = shown.find(({ id }) => id === 501)!
  const found = asked(filledIn(panel.targets![0]!.expr, '1m')).selectors.map(
    ({ matchers }) => matchers.find(([label]) => label === 'state')![1],
  )
  expect(found).toEqual(UPSTREAM_STATES)
})

it('restarts are marked by what there is', () => {
  for (const { expr } of dashboard.annotations.list)
    expect(expressionFaults(filledIn(expr, '1m'))).toEqual([])
})

/** What an operator has no use for on a dashboard of its own, with the reason. */
const NOT_SHOWN: Record<string, string> = {
  headwater_log_open: 'an alarm tells it, with the reason',
  headwater_disk_full: 'an alarm tells it, and refused messages do',
  headwater_partitions: 'does not change but by the configuration',
  headwater_card_endurance_bytes: 'configuration; the life of a card is made of it',
  headwater_table_current: 'the lag of the table says more',
  headwater_commit_duration_seconds_sum: 'a mean hides what quantiles show',
  headwater_commit_duration_seconds_count: 'headwater_commits_total',
  headwater_bridge_start_time_seconds: 'Prometheus has the life of a target',
  headwater_bridge_broker_losses_total: 'the state over time shows them',
  headwater_bridge_sessions: 'devices by state',
  headwater_bridge_packets_received_total: 'frames of links',
  headwater_bridge_packets_sent_total: 'frames of links',
  headwater_bridge_packets_unexpected_total: 'for who looks into a gateway, not for who runs one',
  headwater_bridge_packets_not_connected_total: 'as above',
  headwater_bridge_client_id_collisions_total: 'refused, by reason',
  headwater_bridge_link_published_messages_total: 'frames of links',
  headwater_bridge_device_received_packets_total: 'one device: headwater-bridge status',
  headwater_bridge_device_sent_packets_total: 'as above',
  headwater_bridge_device_published_messages_total: 'as above',
  headwater_bridge_device_delivered_messages_total: 'as above',
  headwater_bridge_device_clock_offset_seconds: 'as above',
  'job:up:avg': 'for alerts',
  'job:up:count': 'for alerts',
}

it('shows every metric there is, or a reason stands here why not', () => {
  const used = new Set(
    targets.flatMap(([, { expr }]) => asked(filledIn(expr, '1m')).selectors.map(({ metric }) => metric)),
  )
  for (const { query } of dashboard.templating.list)
    if (typeof query !== 'string') for (const [name] of query.query.matchAll(/headwater_\w+/g)) used.add(name)
  const missing = [...KNOWN.keys()].filter((name) => !used.has(name))
  expect(missing.toSorted()).toEqual(Object.keys(NOT_SHOWN).toSorted())
})

function overlaps(group: readonly GrafanaPanel[]): string[] {
  const found: string[] = []
  for (const [index, { title, gridPos: a }] of group.entries()) {
    for (const { title: other, gridPos: b } of group.slice(index + 1)) {
      const isApart = a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y
      if (!isApart) found.push(`${title} and ${other}`)
    }
  }
  return found
}
