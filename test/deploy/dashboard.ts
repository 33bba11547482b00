/** The dashboard as Grafana reads it. */
import { readFileSync } from 'node:fs'
import { ROOT } from '../structure/sources.ts'

export interface Target {
  readonly refId: string
  readonly expr: string
  readonly legendFormat: string
  readonly datasource: { readonly type: string; readonly uid: string }
}

export interface GridPos {
  readonly x: number
  readonly y: number
  readonly w: number
  readonly h: number
}

export interface GrafanaPanel {
  readonly id: number
  readonly type: string
  readonly title: string
  readonly description?: string
  readonly datasource?: { readonly type: string; readonly uid: string }
  readonly gridPos: GridPos
  readonly targets?: readonly Target[]
  readonly links?: readonly { readonly url: string }[]
  readonly fieldConfig?: {
    readonly defaults: {
      readonly unit?: string
      readonly thresholds?: { readonly steps: readonly { readonly value: number | null }[] }
    }
    readonly overrides: readonly { readonly matcher: { readonly id: string; readonly options: string } }[]
  }
  readonly options?: { readonly yAxis?: { readonly unit: string } }
  readonly collapsed?: boolean
  readonly panels?: readonly GrafanaPanel[]
}

export interface Variable {
  readonly name: string
  readonly type: string
  readonly query: string | { readonly query: string }
}

export interface Dashboard {
  readonly uid: string
  readonly title: string
  readonly id?: number
  readonly schemaVersion: number
  readonly panels: readonly GrafanaPanel[]
  readonly templating: { readonly list: readonly Variable[] }
  readonly annotations: { readonly list: readonly { readonly expr: string }[] }
}

export const DASHBOARD_FILE = `${ROOT}deploy/raspberry-pi/grafana/headwater.json`

export const readDashboard = (): Dashboard => JSON.parse(readFileSync(DASHBOARD_FILE, 'utf8')) as Dashboard

/** Rows and what is in closed ones included. */
export function allPanels({ panels }: Dashboard): GrafanaPanel[] {
  return panels.flatMap((panel) => [panel, ...(panel.panels ?? [])])
}

/** As Grafana puts variables in: all of each, and a window that has some scrapes. */
export function filledIn(expression: string, rateInterval: string): string {
  return expression
    .replaceAll('$__rate_interval', rateInterval)
    .replaceAll(/\$(?:edge|instance|stream|upstream|bridge)\b/g, '.*')
}
