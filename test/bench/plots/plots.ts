/** Charts as files. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type BarChart, drawBars } from './bar-chart.ts'
import { drawLines, type LineChart } from './line-chart.ts'

export type Chart = LineChart | BarChart

export function drawChart(chart: Chart): string {
  return chart.kind === 'lines' ? drawLines(chart) : drawBars(chart)
}

/** @returns the paths, in the order of the charts */
export function writeCharts(charts: readonly Chart[], directory: string): string[] {
  mkdirSync(directory, { recursive: true })
  return charts.map((chart) => {
    const path = join(directory, chart.file)
    writeFileSync(path, drawChart(chart))
    return path
  })
}
