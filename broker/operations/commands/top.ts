/** `headwater top`: a running broker, live: rates by stream and by client, upstreams' lag, commit latency. */
import { ControlClient } from '../control/control-client.ts'
import { NotRunningError } from '../errors.ts'
import { ExitCode } from '../exit-codes.ts'
import type { StatusReport } from '../operations.ts'
import { pageOf } from '../terminal/page.ts'
import { type KeyInput, Screen } from '../terminal/screen.ts'
import { nextOrder, type TopOrder } from '../top/orders.ts'
import { type Rates, ratesBetween, type Snapshot } from '../top/rates.ts'
import { printTop } from '../top/view.ts'
import type { ClientsAnswer } from './clients.ts'
import { type CommandContext, type ConfigOptions, dataDirectoryOf } from './context.ts'
import { endable, nextInterval } from './intervals.ts'

export type TopOptions = ConfigOptions & {
  readonly json: boolean
  readonly sort: TopOrder
  /** Seconds between two looks. */
  readonly interval: number
  /** Ends after so many reports. */
  readonly count?: number
}

const CTRL_C = '\u0003'

/** @param keys the keyboard; null where nobody sits there */
export async function runTop(
  context: CommandContext,
  options: TopOptions,
  keys: KeyInput | null,
): Promise<number> {
  const { out } = context
  const directory = await dataDirectoryOf(context, options)
  const broker = await ControlClient.of(directory)
  // the first look says whether there is a broker at all, before the screen is taken
  let before = await look(broker)
  const ending = endable(context.signal)
  const isScreen = out.canRedraw && !options.json
  let order = options.sort
  let rates = ratesBetween(null, before)
  const draw = () => {
    if (screen !== null && rates !== null) screen.show(pageOf(out, (page) => print(page, rates!)))
  }
  const print = (page: typeof out, shown: Rates) =>
    printTop(page, shown, {
      order,
      rows: screen === null ? Number.POSITIVE_INFINITY : out.rows,
      isInteractive: screen !== null && keys !== null,
    })
  const onKey = (key: string) => {
    if (key === 'q' || key === CTRL_C) ending.end()
    if (key === 's') {
      order = nextOrder(order)
      draw()
    }
  }
  const screen = isScreen ? new Screen(out, keys, onKey) : null
  try {
    draw()
    for (let reports = 0; reports < (options.count ?? Number.POSITIVE_INFINITY); reports++) {
      if (!(await nextInterval(options.interval, ending.signal))) break
      const now = await look(broker)
      rates = ratesBetween(before, now)
      before = now
      if (rates === null) throw new NotRunningError(directory)
      if (options.json) out.line(JSON.stringify(rates))
      else if (screen !== null) draw()
      else {
        print(out, rates)
        out.line()
      }
    }
  } finally {
    screen?.close()
  }
  // the terminal has back what was on it: somebody who asked for so many looks wants to keep the last
  if (screen !== null && options.count !== undefined && rates !== null) {
    printTop(out, rates, { order, rows: Number.POSITIVE_INFINITY, isInteractive: false })
  }
  return ExitCode.ok
}

async function look(broker: ControlClient): Promise<Snapshot> {
  const report = await broker.json<StatusReport>('GET', '/status')
  const { clients } = await broker.json<ClientsAnswer>('GET', '/clients')
  return { at: performance.now(), report, clients }
}
