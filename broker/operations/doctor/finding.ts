/** What `headwater doctor` has to say of one thing. */

/** none: it is not there, or does not tell, and nothing follows from that. */
export type Level = 'ok' | 'warning' | 'fault' | 'none'

export interface Finding {
  readonly item: string
  readonly level: Level
  /** How it is, in one clause. */
  readonly what: string
  /** What to do about it; empty where there is nothing to do. */
  readonly todo: string
}

export function ok(item: string, what: string): Finding {
  return { item, level: 'ok', what, todo: '' }
}

export function none(item: string, what: string): Finding {
  return { item, level: 'none', what, todo: '' }
}

export function warning(item: string, what: string, todo: string): Finding {
  return { item, level: 'warning', what, todo }
}

export function fault(item: string, what: string, todo: string): Finding {
  return { item, level: 'fault', what, todo }
}
