/** The metrics as Prometheus reads them. */
import { Exposition, type Histogram, type Sample } from '../../exposition.ts'
import { METRICS, type MetricName } from './catalogue.ts'
import type { MetricsReport } from './report.ts'
import { metricSamples } from './samples.ts'

export function metricsText(report: MetricsReport): string {
  const text = new Exposition()
  const samples = metricSamples(report)
  for (const name of Object.keys(METRICS) as MetricName[]) {
    const { type, help } = METRICS[name]
    const found = samples[name]
    if (type === 'histogram') text.writeHistogram(name, help, found as Histogram)
    else text.write(type, name, help, found as readonly Sample[])
  }
  return text.toString()
}
