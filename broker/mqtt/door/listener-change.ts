/**
 * From the listeners that there are to those that there are to be, in two steps, so that what fails changes nothing: all that is new is bound
 * first, and takes connections once everything else of the change is certain.
 *
 *   as it was                        goes on, with its connections
 *   new                              bound at once, opened by `commit`
 *   another one on its address       takes the address over by `commit`, without a gap; its connections end where it is of another kind
 *   gone                             closed by `commit`; its connections end
 *   gone, and in the way of a new one (1883 on one interface, then on all): its address is given free for that, and taken again by `discard`
 */
import { areOnePort } from '../../config/address.ts'
import type { LogSink } from '../../log-sink.ts'
import type { Listener, ListenerOptions } from './listener.ts'

export interface Listening {
  readonly options: ListenerOptions
  readonly listener: Listener
}

/** In the order of the new options. */
interface Planned {
  readonly options: ListenerOptions
  /** Goes on as it is. */
  readonly kept: Listening | null
  /** Its address is taken over. */
  readonly replaced: Listening | null
}

export interface ListenerPlan {
  readonly next: readonly Planned[]
  readonly removed: readonly Listening[]
}

export function planListeners(now: readonly Listening[], wanted: readonly ListenerOptions[]): ListenerPlan {
  const left = [...now]
  const take = (fits: (one: Listening) => boolean): Listening | null => {
    const at = left.findIndex(fits)
    return at < 0 ? null : left.splice(at, 1)[0]!
  }
  // those that stay first: the system's own ports (0) are all of one address
  const kept = wanted.map((options) => take((one) => isSame(one.options, options)))
  const next = wanted.map((options, at): Planned => {
    const replaced = kept[at] === null ? take((one) => isSame(one.options.address, options.address)) : null
    return { options, kept: kept[at]!, replaced }
  })
  return { next, removed: left }
}

/** Whether clients of the one might not be where they are now by the other: then their connections end. */
function isOtherKind(one: ListenerOptions, other: ListenerOptions): boolean {
  const kind = ({ tls, webSocketPath }: ListenerOptions) => ({
    webSocketPath,
    tls: tls === null ? null : [tls.clientCaFile, tls.requiresClientCertificate],
  })
  return !isSame(kind(one), kind(other))
}

function isSame(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}

export class ListenerChange {
  readonly #plan: ListenerPlan
  readonly #log: LogSink
  readonly #next: readonly Listening[]
  /** Bound for this change. */
  readonly #bound: Listener[] = []
  /** Their addresses were given free. */
  readonly #released: Listener[] = []

  /** @param create one that is not bound yet */
  constructor(plan: ListenerPlan, create: (options: ListenerOptions) => Listener, log: LogSink) {
    this.#plan = plan
    this.#log = log
    this.#next = plan.next.map(({ options, kept }) => kept ?? { options, listener: create(options) })
  }

  /** @throws ListenError: all is as it was then */
  async prepare(): Promise<void> {
    try {
      const fresh = this.#plan.next.flatMap(({ kept, replaced }, at) =>
        kept === null ? [{ ...this.#next[at]!, isBound: replaced !== null }] : [],
      )
      for (const { listener } of fresh) await listener.prepare()
      const unbound = fresh.filter(({ isBound }) => !isBound)
      const inWay = ({ options }: Listening) =>
        this.#plan.removed.filter((one) => areOnePort(one.options.address, options.address))
      const free = unbound.filter((one) => inWay(one).length === 0)
      const others = unbound.filter((one) => inWay(one).length > 0)
      for (const { listener } of free) await this.#bind(listener)
      for (const { listener } of others.flatMap(inWay)) {
        if (this.#released.includes(listener)) continue
        this.#released.push(listener)
        listener.release()
      }
      for (const { listener } of others) await this.#bind(listener)
    } catch (error) {
      await this.discard()
      throw error
    }
  }

  /** @returns the listeners from now on, and the names of those whose connections are to end, as they were bound */
  commit(): { readonly listening: readonly Listening[]; readonly ended: readonly string[] } {
    const { next, removed } = this.#plan
    const ended = removed.map(({ listener }) => listener.bound)
    for (const { listener } of removed) void listener.close()
    for (const [at, { kept, replaced, options }] of next.entries()) {
      if (kept !== null) continue
      const { listener } = this.#next[at]!
      if (replaced !== null) {
        if (isOtherKind(replaced.options, options)) ended.push(replaced.listener.bound)
        listener.succeed(replaced.listener)
      }
      listener.open()
    }
    return { listening: this.#next, ended }
  }

  /** What runs goes on as if nothing had been asked for. */
  async discard(): Promise<void> {
    for (const listener of this.#bound.splice(0)) void listener.close()
    for (const listener of this.#released.splice(0)) {
      try {
        await listener.bind()
      } catch (error) {
        // somebody else was faster: nobody reaches it until that one is gone and the broker starts again
        this.#log.error('a listener could not have its address back', {
          listener: listener.bound,
          reason: (error as Error).message,
        })
      }
    }
  }

  async #bind(listener: Listener): Promise<void> {
    await listener.bind()
    this.#bound.push(listener)
  }
}
