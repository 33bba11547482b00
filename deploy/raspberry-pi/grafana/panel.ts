/**
 * Panels in few words. What is the same for all is said here; what a row file says of a panel is what a reviewer should read: its query, its unit,
 * what it means, where it hurts.
 *
 * Ids are written by hand and never used again for another panel: links to a panel, and what people have pinned, hold them.
 */

export const DATASOURCE = { type: 'prometheus', uid: '$datasource' } as const

/** Selectors of a broker's metrics, of those with a stream or an upstream, and of a bridge's. */
export const B = 'instance=~"$instance"'
export const S = `${B},stream=~"$stream"`
export const U = `${B},upstream=~"$upstream"`
export const G = 'instance=~"$bridge"'

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }
export type JsonObject = { readonly [key: string]: Json }
export type Query = readonly [expression: string, legend: string]
/** From this value on, in this colour; the first one is of all below. */
export type Steps = readonly (readonly [from: number | null, colour: string])[]

export interface PanelText {
  readonly id: number
  readonly title: string
  /** What it shows and when to worry. */
  readonly about: string
  /** docs/<page>#<anchor> */
  readonly docs: string
  /** Of 24 columns. */
  readonly width?: number
}

export interface Panel {
  readonly id: number
  readonly width: number
  readonly height: number
  readonly json: JsonObject
}

export interface Row {
  readonly id: number
  readonly title: string
  /** Its queries are made once somebody opens it. */
  readonly isCollapsed: boolean
  readonly panels: readonly Panel[]
}

interface Look {
  readonly unit: string
  readonly steps?: Steps
  readonly min?: number | null
  readonly max?: number
  readonly isStacked?: boolean
  readonly overrides?: readonly JsonObject[]
}

const thresholds = (steps: Steps): JsonObject => ({
  mode: 'absolute',
  steps: steps.map(([value, color]) => ({ color, value })),
})

function targets(queries: readonly Query[], more: JsonObject = {}): JsonObject[] {
  return queries.map(([expr, legendFormat], index) => ({
    refId: String.fromCharCode(65 + index),
    datasource: DATASOURCE,
    editorMode: 'code',
    expr,
    legendFormat,
    range: true,
    ...more,
  }))
}

const INSTANT = { range: false, instant: true }

/** @param page in docs/, with its anchor */
export function docsLink(title: string, page: string): JsonObject {
  return {
    title,
    type: 'link',
    url: `\${docs}/${page}`,
    icon: 'doc',
    tooltip: '',
    tags: [],
    targetBlank: true,
    asDropdown: false,
    includeVars: false,
    keepTime: false,
  }
}

function panel(text: PanelText, type: string, size: readonly [number, number], more: JsonObject): Panel {
  const [width, height] = size
  const json = {
    id: text.id,
    type,
    title: text.title,
    description: text.about,
    datasource: DATASOURCE,
    links: [docsLink('What it means, what to do', text.docs)],
    ...more,
  }
  return { id: text.id, width: text.width ?? width, height, json }
}

/** Lines over time. */
export function lines(text: PanelText, look: Look, ...queries: Query[]): Panel {
  const { unit, steps, min = 0, max, isStacked = false, overrides = [] } = look
  return panel(text, 'timeseries', [8, 8], {
    targets: targets(queries),
    fieldConfig: {
      defaults: {
        unit,
        ...(min === null ? {} : { min }),
        ...(max === undefined ? {} : { max }),
        color: { mode: 'palette-classic' },
        thresholds: thresholds(steps ?? [[null, 'green']]),
        custom: {
          drawStyle: 'line',
          lineWidth: 1,
          fillOpacity: isStacked ? 30 : 5,
          showPoints: 'never',
          spanNulls: false,
          stacking: { mode: isStacked ? 'normal' : 'none', group: 'A' },
          thresholdsStyle: { mode: steps === undefined ? 'off' : 'line' },
        },
      },
      overrides,
    },
    options: {
      legend: { displayMode: 'list', placement: 'bottom', showLegend: true, calcs: [] },
      tooltip: { mode: 'multi', sort: 'desc' },
    },
  })
}

/** Numbers of now. */
export function stat(text: PanelText, look: Look, ...queries: Query[]): Panel {
  return panel(text, 'stat', [4, 4], {
    targets: targets(queries, INSTANT),
    fieldConfig: {
      defaults: {
        unit: look.unit,
        color: { mode: 'thresholds' },
        thresholds: thresholds(look.steps ?? [[null, 'text']]),
      },
      overrides: look.overrides ?? [],
    },
    options: {
      reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false },
      colorMode: 'value',
      graphMode: 'none',
      justifyMode: 'auto',
      orientation: 'auto',
      textMode: queries.some(([, legend]) => legend !== '') ? 'value_and_name' : 'value',
    },
  })
}

/** How often a state was, over time: its bars are the values that `mappings` names. */
export function states(
  text: PanelText,
  look: { readonly mappings: JsonObject; readonly steps: Steps },
  ...queries: Query[]
): Panel {
  return panel(text, 'state-timeline', [12, 8], {
    targets: targets(queries),
    fieldConfig: {
      defaults: {
        color: { mode: 'thresholds' },
        thresholds: thresholds(look.steps),
        mappings: [{ type: 'value', options: look.mappings }],
        custom: { fillOpacity: 80, lineWidth: 0 },
      },
      overrides: [],
    },
    options: {
      mergeValues: true,
      showValue: 'auto',
      alignValue: 'left',
      rowHeight: 0.9,
      legend: { displayMode: 'list', placement: 'bottom', showLegend: false },
      tooltip: { mode: 'single', sort: 'none' },
    },
  })
}

/** Of a histogram's buckets, summed by `le`. */
export function heatmap(text: PanelText, unit: string, expression: string): Panel {
  return panel(text, 'heatmap', [12, 9], {
    targets: targets([[expression, '{{le}}']], { format: 'heatmap' }),
    fieldConfig: {
      defaults: { custom: { hideFrom: { legend: false, tooltip: false, viz: false } } },
      overrides: [],
    },
    options: {
      calculate: false,
      cellGap: 1,
      cellValues: { unit: 'short' },
      color: {
        mode: 'scheme',
        scheme: 'Oranges',
        exponent: 0.5,
        fill: 'dark-orange',
        reverse: false,
        steps: 64,
      },
      filterValues: { le: 1e-9 },
      legend: { show: true },
      rowsFrame: { layout: 'le' },
      tooltip: { mode: 'single', showColorScale: false, yHistogram: false },
      yAxis: { axisPlacement: 'left', reverse: false, unit },
    },
  })
}

export interface Column {
  /** As Prometheus and Grafana call it: a label, `Value`, or `Value #A` where there are several queries. */
  readonly field: string
  readonly title: string
  readonly unit?: string
  readonly steps?: Steps
  /** Where a click leads. */
  readonly link?: string
}

/** A row for each series; several queries are joined by the labels that they have in common. */
export function table(text: PanelText, columns: readonly Column[], ...expressions: string[]): Panel {
  const queries = expressions.map((expression): Query => [expression, ''])
  return panel(text, 'table', [24, 9], {
    targets: targets(queries, { ...INSTANT, format: 'table' }),
    transformations: [
      ...(expressions.length > 1 ? [{ id: 'merge', options: {} }] : []),
      { id: 'filterFieldsByName', options: { include: { names: columns.map(({ field }) => field) } } },
      {
        id: 'organize',
        options: {
          indexByName: Object.fromEntries(columns.map(({ field }, index) => [field, index])),
          renameByName: Object.fromEntries(columns.map(({ field, title }) => [field, title])),
        },
      },
    ],
    fieldConfig: {
      defaults: { custom: { align: 'auto', cellOptions: { type: 'auto' }, filterable: true } },
      overrides: columns.flatMap(columnOverride),
    },
    options: { showHeader: true, cellHeight: 'sm' },
  })
}

function columnOverride({ title, unit, steps, link }: Column): JsonObject[] {
  const properties: JsonObject[] = [
    ...(unit === undefined ? [] : [{ id: 'unit', value: unit }]),
    ...(steps === undefined
      ? []
      : [
          { id: 'thresholds', value: thresholds(steps) },
          { id: 'custom.cellOptions', value: { type: 'color-text' } },
        ]),
    ...(link === undefined ? [] : [{ id: 'links', value: [{ title, url: link, targetBlank: true }] }]),
  ]
  return properties.length === 0 ? [] : [{ matcher: { id: 'byName', options: title }, properties }]
}

/** A line that is a limit, not a measurement. */
export function asLimit(legend: string): JsonObject {
  return {
    matcher: { id: 'byRegexp', options: `/${legend}$/` },
    properties: [
      { id: 'custom.lineStyle', value: { fill: 'dash', dash: [8, 8] } },
      { id: 'custom.fillOpacity', value: 0 },
      { id: 'color', value: { mode: 'fixed', fixedColor: 'red' } },
    ],
  }
}
