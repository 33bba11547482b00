/** A chart of some fields of the samples, with the values under the pointer, or the newest ones, in its legend. */
import { useEffect, useId, useMemo, useRef, useState } from 'preact/hooks'
import uPlot from 'uplot'
import type { HistorySample } from '../api/types.ts'
import { columnsOf, type Field } from '../state/samples.ts'
import { timeText } from '../text/units.ts'
import { chartOptions, HEIGHT, type Scaling, windowOf } from './options.ts'

export interface Series {
  readonly field: Field
  readonly name: string
  /** A custom property of the style sheet. */
  readonly color: string
}

interface ChartProps {
  readonly title: string
  readonly series: readonly Series[]
  readonly scaling?: Scaling
  readonly samples: readonly HistorySample[]
  readonly intervalSeconds: number
  /** With its unit. */
  readonly format: (value: number) => string
  /** Changes when the colours do. */
  readonly theme: string
}

export function Chart(props: ChartProps) {
  const { title, series, scaling = 'linear', samples, intervalSeconds, format, theme } = props
  const place = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | null>(null)
  const titleId = useId()
  const [pointed, setPointed] = useState<number | null>(null)
  const data = useMemo(
    () =>
      columnsOf(
        samples,
        series.map(({ field }) => field),
        intervalSeconds,
      ),
    [samples, series, intervalSeconds],
  )
  const latest = useRef(data)
  latest.current = data

  // A new theme has other colours in the style sheet.
  useEffect(() => {
    const element = place.current!
    const options = chartOptions(element, { series, scaling, format, onPoint: setPointed })
    const made = new uPlot(options, latest.current as uPlot.AlignedData, element)
    plot.current = made
    const observer = new ResizeObserver(() => {
      if (element.clientWidth > 0) made.setSize({ width: element.clientWidth, height: HEIGHT })
    })
    observer.observe(element)
    return () => {
      observer.disconnect()
      made.destroy()
      plot.current = null
    }
  }, [series, scaling, format, theme])

  useEffect(() => {
    plot.current?.setData(data as uPlot.AlignedData, false)
    plot.current?.setScale('x', windowOf(data[0]))
  }, [data])

  const [times, ...columns] = data
  const at = pointed !== null && pointed < times.length ? pointed : times.length - 1
  const values = columns.map((column) => column[at] ?? null)
  const texts = values.map((value) => (value === null ? '\u2013' : format(value)))
  return (
    <figure class="card chart" aria-labelledby={titleId}>
      <figcaption>
        <h3 id={titleId}>{title}</h3>
        <span class="chart-at">
          {pointed !== null && times.length > 0 && timeText(times[at]! * 1000, Date.now())}
        </span>
        <ul class="legend">
          {series.map(({ name, color }, i) => (
            <li key={name}>
              <span class="swatch" style={{ background: `var(${color})` }} />
              {name} <b>{texts[i]}</b>
            </li>
          ))}
        </ul>
      </figcaption>
      <div class="plot" ref={place} role="img" aria-label={`${title}, the last 15 minutes`} />
      {samples.length < 2 && <p class="chart-empty">Two samples make a line: one comes every few seconds.</p>}
    </figure>
  )
}
