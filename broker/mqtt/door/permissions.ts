/**
 * Who may publish and subscribe where. Rules name users and topic filters; what no rule allows is denied. In a filter `%c` stands for the
 * client id and `%u` for the user's name; a client id or name with "/", "+" or "#" in it matches no filter with its letter in it, since it
 * could reach into other clients' topics; nor does one that begins with "$", where the filter begins with its letter.
 *
 * A subscription is allowed where a rule's filter covers it whole: `plant/+/state` is covered by `plant/#`, not the other way round.
 */

import type { Principal } from '../connection/access.ts'
import { topicMatches } from '../router.ts'
import { ANONYMOUS } from '../who.ts'

export interface PermissionRule {
  /** Names, with "*" for any number of characters; "anonymous" are those without one. */
  readonly users: readonly string[]
  readonly publish: readonly string[]
  readonly subscribe: readonly string[]
}

const UNSAFE = /[/+#]/

/** The rules of one client, with its names put in. */
export class Permissions {
  readonly #publish: readonly (readonly string[])[]
  readonly #subscribe: readonly (readonly string[])[]

  private constructor(publish: readonly string[], subscribe: readonly string[]) {
    this.#publish = publish.map((filter) => filter.split('/'))
    this.#subscribe = subscribe.map((filter) => filter.split('/'))
  }

  static of(rules: readonly PermissionRule[], principal: Principal): Permissions {
    const own = rulesFor(rules, principal.name ?? ANONYMOUS)
    const put = (filters: readonly string[]) => filters.flatMap((filter) => filled(filter, principal) ?? [])
    return new Permissions(
      put(own.flatMap(({ publish }) => publish)),
      put(own.flatMap(({ subscribe }) => subscribe)),
    )
  }

  mayPublish(topic: string): boolean {
    const levels = topic.split('/')
    return this.#publish.some((filter) => takes(filter, levels))
  }

  /** @param filter without `$share/NAME/` */
  maySubscribe(filter: string): boolean {
    const levels = filter.split('/')
    return this.#subscribe.some((allowed) => covers(allowed, levels))
  }
}

/** Those that name the user. */
export function rulesFor(rules: readonly PermissionRule[], name: string): PermissionRule[] {
  return rules.filter(({ users }) => users.some((pattern) => isNamed(pattern, name)))
}

/** @returns null where a name could reach further than one level, or to topics of the broker's own */
function filled(filter: string, { name, clientId }: Principal): string | null {
  if (filter.includes('%c') && (clientId === '' || UNSAFE.test(clientId))) return null
  if (filter.includes('%u') && (name === null || UNSAFE.test(name))) return null
  // in one pass: what is put in is not looked at again
  const text = filter.replace(/%[cu]/g, (letter) => (letter === '%c' ? clientId : name!))
  // a client that calls itself $replay or $SYS
  return text.startsWith('$') && !filter.startsWith('$') ? null : text
}

function isNamed(pattern: string, name: string): boolean {
  if (!pattern.includes('*')) return pattern === name
  const parts = pattern.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${parts.join('.*')}$`, 's').test(name)
}

/** As for subscriptions, a wildcard at the front takes no topic that begins with "$". */
function takes(filter: readonly string[], levels: readonly string[]): boolean {
  if (levels[0]!.startsWith('$') && filter[0] !== levels[0]) return false
  return topicMatches(filter, levels)
}

/** Whether every topic that `wanted` matches is matched by `allowed`. */
export function covers(allowed: readonly string[], wanted: readonly string[]): boolean {
  if (wanted[0]!.startsWith('$') && allowed[0] !== wanted[0]) return false
  for (const [i, part] of allowed.entries()) {
    if (part === '#') return true
    const other = wanted[i]
    if (other === undefined) return false
    if (other === '#') return false
    if (part !== '+' && part !== other) return false
    // "a/#" also covers "a"
    if (i === wanted.length - 1 && allowed[i + 1] === '#') return true
  }
  return allowed.length === wanted.length
}
