/**
 * What the page knows of the broker: asked for every few seconds, kept when nobody answers.
 *
 *   connecting -> live          the first answer
 *   live       -> away          no answer; tried again after 1 s, 2 s, 4 s, ... up to 15 s
 *   any        -> locked        the API wants a token; nothing is asked until there is one
 *   away       -> live          an answer
 */
import type { Api } from '../api/api.ts'
import { AwayError, errorText, TokenError } from '../api/faults.ts'
import type {
  Alarm,
  ClientStatus,
  DownlinkStatus,
  HistoryReport,
  HistorySample,
  StatusReport,
  UpstreamStatus,
} from '../api/types.ts'
import { mergeSamples } from './samples.ts'
import { Store } from './store.ts'

export type Link =
  | { readonly state: 'connecting' }
  | { readonly state: 'live' }
  /** `reason`: what the broker says of it. */
  | { readonly state: 'locked'; readonly isRefused: boolean; readonly reason: string }
  | { readonly state: 'away'; readonly since: number; readonly retryAt: number; readonly reason: string }

export interface Snapshot {
  readonly link: Link
  readonly report: StatusReport | null
  readonly upstreams: readonly UpstreamStatus[]
  readonly downlinks: readonly DownlinkStatus[]
  readonly alarms: readonly Alarm[]
  /** null until somebody wants to see them. */
  readonly clients: readonly ClientStatus[] | null
  /** Why they cannot be seen: it takes more than what else is shown. */
  readonly clientsFault: string | null
  readonly samples: readonly HistorySample[]
  readonly intervalSeconds: number
  /** By this machine's clock, ms since 1970; null before the first answer. */
  readonly answeredAt: number | null
}

/** What it needs of the world. */
export interface LiveParts {
  readonly api: Pick<Api, 'get'>
  readonly hasToken: () => boolean
  readonly now: () => number
  /** @returns the way to take it back */
  readonly after: (ms: number, call: () => void) => () => void
}

const POLL_MS = 5_000
/** While nobody looks, the title's count of alarms is enough. */
const POLL_HIDDEN_MS = 30_000
/** Every so many rounds all of the history is asked for: a broker's clock that was set back has nothing later to tell. */
const WHOLE_HISTORY_ROUNDS = 12
const RETRY_MS_MIN = 1_000
const RETRY_MS_MAX = 15_000

const NOTHING: Snapshot = {
  link: { state: 'connecting' },
  report: null,
  upstreams: [],
  downlinks: [],
  alarms: [],
  clients: null,
  clientsFault: null,
  samples: [],
  intervalSeconds: 5,
  answeredAt: null,
}

export class Live {
  readonly store = new Store<Snapshot>(NOTHING)
  readonly #parts: LiveParts
  #isHidden = false
  #wantsClients = false
  #failures = 0
  #rounds = 0
  #cancel: (() => void) | null = null
  #round: Promise<void> | null = null
  #isClosed = false

  constructor(parts: LiveParts) {
    this.#parts = parts
  }

  /** Asks at once, also before the next round is due; one round at a time. */
  poll(): Promise<void> {
    this.#cancel?.()
    this.#cancel = null
    this.#round ??= this.#ask().finally(() => {
      this.#round = null
    })
    return this.#round
  }

  /** After an action: the answer that is under way may have been given before it. */
  async refresh(): Promise<void> {
    await this.#round
    await this.poll()
  }

  setHidden(isHidden: boolean): void {
    if (isHidden === this.#isHidden) return
    this.#isHidden = isHidden
    if (!isHidden) void this.poll()
  }

  /** Clients are many: they are asked for while they are looked at. */
  wantClients(wanted: boolean): void {
    this.#wantsClients = wanted
    if (wanted) void this.refresh()
    else this.#update({ clients: null, clientsFault: null })
  }

  close(): void {
    this.#isClosed = true
    this.#cancel?.()
  }

  async #ask(): Promise<void> {
    let next = this.#isHidden ? POLL_HIDDEN_MS : POLL_MS
    try {
      const answer = await this.#answer()
      this.#failures = 0
      this.#update({ ...answer, link: { state: 'live' }, answeredAt: this.#parts.now() })
    } catch (error) {
      if (error instanceof TokenError) {
        const isRefused = this.#parts.hasToken()
        const reason = isRefused ? errorText(error) : error.message
        this.#update({ link: { state: 'locked', isRefused, reason } })
        return
      }
      next = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** this.#failures++)
      this.#update({ link: this.#away(error, next) })
    }
    if (!this.#isClosed) this.#cancel = this.#parts.after(next, () => void this.poll())
  }

  async #answer(): Promise<Partial<Snapshot>> {
    const { api } = this.#parts
    const { samples } = this.store.value
    const since = this.#rounds++ % WHOLE_HISTORY_ROUNDS === 0 ? null : samples.at(-1)?.at
    const [report, sync, { alarms }, history, clients] = await Promise.all([
      api.get<StatusReport>('api/v1/status'),
      api.get<{ upstreams: UpstreamStatus[]; downlinks: DownlinkStatus[] }>('api/v1/upstreams'),
      api.get<{ alarms: Alarm[] }>('api/v1/alarms'),
      api.get<HistoryReport>('api/v1/history', { since }),
      this.#clients(),
    ])
    return {
      report,
      upstreams: sync.upstreams,
      downlinks: sync.downlinks,
      alarms,
      ...(this.#wantsClients ? clients : {}),
      samples: mergeSamples(samples, history.samples),
      intervalSeconds: history.intervalSeconds,
    }
  }

  async #clients(): Promise<Pick<Snapshot, 'clients' | 'clientsFault'>> {
    if (!this.#wantsClients) return { clients: null, clientsFault: null }
    try {
      const { clients } = await this.#parts.api.get<{ clients: ClientStatus[] }>('api/v1/clients')
      return { clients, clientsFault: null }
    } catch (error) {
      if (error instanceof TokenError) return { clients: null, clientsFault: errorText(error) }
      throw error
    }
  }

  #away(error: unknown, retryMs: number): Link {
    const now = this.#parts.now()
    const { link } = this.store.value
    const since = link.state === 'away' ? link.since : now
    const reason = error instanceof AwayError ? '' : errorText(error)
    return { state: 'away', since, retryAt: now + retryMs, reason }
  }

  #update(change: Partial<Snapshot>): void {
    if (!this.#isClosed) this.store.set({ ...this.store.value, ...change })
  }
}
