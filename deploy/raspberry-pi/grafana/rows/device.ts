/** The machine's clock and the process. */
import { asLimit, B, lines, type Row, states } from '../panel.ts'

const clock: Row = {
  id: 800,
  title: 'Clock',
  isCollapsed: true,
  panels: [
    states(
      {
        id: 801,
        title: 'The clock is trusted',
        about: 'While it is not, retention by time stands still and records say so.',
        docs: 'operate.md#clock-untrusted',
        width: 8,
      },
      {
        mappings: {
          '0': { text: 'no', color: 'orange', index: 0 },
          '1': { text: 'trusted', color: 'green', index: 1 },
        },
        steps: [[null, 'text']],
      },
      [`headwater_clock_trusted{${B}}`, '{{instance}}'],
    ),
    lines(
      {
        id: 802,
        title: "Against Prometheus' clock",
        about:
          'Above 0: the edge is ahead. A scrape takes its time: some hundred milliseconds below 0 are none.',
        docs: 'operate.md#clock-wrong',
      },
      { unit: 's', min: null },
      [`headwater_clock_time_seconds{${B}} - timestamp(headwater_clock_time_seconds{${B}})`, '{{instance}}'],
    ),
    lines(
      {
        id: 803,
        title: 'Steps',
        about: 'Times that the clock was set by more than it may drift.',
        docs: 'operate.md#clock-untrusted',
      },
      { unit: 'short' },
      [`increase(headwater_clock_steps_total{${B}}[$__rate_interval])`, '{{instance}}'],
    ),
  ],
}

const process: Row = {
  id: 900,
  title: 'Process',
  isCollapsed: true,
  panels: [
    lines(
      {
        id: 901,
        title: 'Memory',
        about: 'Resident memory, its limit (MemoryMax), and the heap in it.',
        docs: 'operate.md#memory-high',
      },
      { unit: 'bytes', overrides: [asLimit('limit')] },
      [`process_resident_memory_bytes{${B}}`, '{{instance}}'],
      [`nodejs_heap_size_used_bytes{${B}}`, '{{instance}} heap'],
      [`headwater_memory_limit_bytes{${B}}`, '{{instance}} limit'],
    ),
    lines(
      { id: 902, title: 'CPU', about: 'Of one core, all threads.', docs: 'operate.md#metrics' },
      { unit: 'percentunit' },
      [`rate(process_cpu_seconds_total{${B}}[$__rate_interval])`, '{{instance}}'],
    ),
    lines(
      {
        id: 903,
        title: 'Event loop',
        about:
          'How busy the one thread is that serves all clients. Near 100 %: it is all this machine can do.',
        docs: 'operate.md#metrics',
      },
      {
        unit: 'percentunit',
        max: 1,
        steps: [
          [null, 'green'],
          [0.9, 'red'],
        ],
      },
      [`rate(headwater_event_loop_active_seconds_total{${B}}[$__rate_interval])`, '{{instance}}'],
    ),
    lines(
      {
        id: 904,
        title: 'Open files',
        about: 'Connections and files of the log, and how many there may be.',
        docs: 'operate.md#metrics',
      },
      { unit: 'short', overrides: [asLimit('limit')] },
      [`process_open_fds{${B}}`, '{{instance}}'],
      [`process_max_fds{${B}}`, '{{instance}} limit'],
    ),
    lines(
      {
        id: 905,
        title: 'Runs since',
        about: 'A saw-tooth is a service that ends again and again.',
        docs: 'operate.md#restarts-often',
      },
      { unit: 's' },
      [`time() - process_start_time_seconds{${B}}`, '{{instance}}'],
    ),
    lines(
      {
        id: 906,
        title: 'Length of a scrape',
        about: 'How long Prometheus waits for the metrics of an edge.',
        docs: 'operate.md#scrapes-failing',
      },
      { unit: 's' },
      [`scrape_duration_seconds{${B}}`, '{{instance}}'],
    ),
  ],
}

export const device: readonly Row[] = [clock, process]
