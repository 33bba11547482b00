/**
 * headwater.json, the dashboard that Grafana imports, made of rows/. After a change: npx vitest run test/deploy/dashboard.test.ts -u
 *
 * One dashboard for a fleet and for one edge: the fleet's row is of all edges that are chosen, the others as well, one line an edge; who chooses one
 * edge sees that one. Rows below the first are closed: hundreds of edges are not asked for what nobody looks at.
 */
import { DATASOURCE, docsLink, type JsonObject, type Panel, type Row } from './panel.ts'
import { bridge } from './rows/bridge.ts'
import { commits } from './rows/commits.ts'
import { device } from './rows/device.ts'
import { fleet } from './rows/fleet.ts'
import { ingest } from './rows/ingest.ts'
import { log } from './rows/log.ts'
import { mqtt } from './rows/mqtt.ts'
import { upstream } from './rows/upstream.ts'

const COLUMNS = 24
const ROWS: readonly Row[] = [fleet, ingest, commits, log, upstream, mqtt, bridge, ...device]

function query(
  name: string,
  label: string,
  text: string,
  description: string,
  more: JsonObject = {},
): JsonObject {
  return {
    name,
    label,
    description,
    type: 'query',
    datasource: DATASOURCE,
    query: { query: text, refId: `variable-${name}`, qryType: 1 },
    definition: text,
    // with the time range: an edge that is away is found where it was
    refresh: 2,
    sort: 1,
    multi: true,
    includeAll: true,
    current: { text: ['All'], value: ['$__all'] },
    options: [],
    ...more,
  }
}

const VARIABLES: readonly JsonObject[] = [
  {
    name: 'datasource',
    label: 'Prometheus',
    type: 'datasource',
    query: 'prometheus',
    current: {},
    options: [],
  },
  query(
    'edge',
    'Edge',
    'label_values(headwater_build_info, edge)',
    'The name of an edge, as it is upstream.',
  ),
  // all of them are those of the edges that are chosen: no value for all of its own
  query(
    'instance',
    'Instance',
    'label_values(headwater_build_info{edge=~"$edge"}, instance)',
    'Where Prometheus scrapes it.',
  ),
  query('stream', 'Stream', 'label_values(headwater_stream_records{instance=~"$instance"}, stream)', '', {
    allValue: '.*',
  }),
  query(
    'upstream',
    'Upstream',
    'label_values(headwater_upstream_lag_records{instance=~"$instance"}, upstream)',
    '',
    {
      allValue: '.*',
    },
  ),
  query(
    'bridge',
    'Bridge',
    'label_values(headwater_bridge_info, instance)',
    'Bridges to devices without MQTT.',
    {
      allValue: '.*',
    },
  ),
  {
    name: 'docs',
    label: 'Docs',
    description: "Where Headwater's docs/ can be read: links of panels begin with it.",
    type: 'textbox',
    query: 'docs',
    current: { text: 'docs', value: 'docs' },
    options: [{ text: 'docs', value: 'docs', selected: true }],
  },
]

/** From left to right, a new line where there is no more room. @returns panels with their places, and the line below them */
function placed(
  panels: readonly Panel[],
  top: number,
): { readonly panels: JsonObject[]; readonly bottom: number } {
  let x = 0
  let y = top
  let bottom = top
  const found = panels.map(({ json, width, height }): JsonObject => {
    if (x + width > COLUMNS) {
      x = 0
      y = bottom
    }
    const gridPos = { h: height, w: width, x, y }
    x += width
    bottom = Math.max(bottom, y + height)
    return { ...json, gridPos }
  })
  return { panels: found, bottom }
}

function allPanels(): JsonObject[] {
  const found: JsonObject[] = []
  let y = 0
  for (const { id, title, isCollapsed, panels } of ROWS) {
    const row = { id, type: 'row', title, collapsed: isCollapsed, gridPos: { h: 1, w: COLUMNS, x: 0, y } }
    const inside = placed(panels, y + 1)
    if (isCollapsed) found.push({ ...row, panels: inside.panels })
    else found.push({ ...row, panels: [] }, ...inside.panels)
    y = isCollapsed ? y + 1 : inside.bottom
  }
  return found
}

export function dashboard(): JsonObject {
  return {
    uid: 'headwater',
    title: 'Headwater',
    description: 'Edges, their logs and what they send upstream.',
    tags: ['headwater', 'mqtt', 'edge'],
    schemaVersion: 39,
    version: 1,
    editable: true,
    graphTooltip: 1,
    timezone: 'browser',
    weekStart: '',
    fiscalYearStartMonth: 0,
    time: { from: 'now-6h', to: 'now' },
    timepicker: {},
    refresh: '30s',
    liveNow: false,
    links: [docsLink('Operate', 'operate.md')],
    annotations: {
      list: [
        {
          name: 'Starts',
          datasource: DATASOURCE,
          enable: true,
          hide: false,
          iconColor: 'blue',
          expr: 'changes(process_start_time_seconds{instance=~"$instance"}[1m]) > 0',
          titleFormat: '{{instance}} was started',
        },
      ],
    },
    templating: { list: VARIABLES },
    panels: allPanels(),
  }
}

/** As it stands in headwater.json. */
export const dashboardText = (): string => `${JSON.stringify(dashboard(), null, 2)}\n`
