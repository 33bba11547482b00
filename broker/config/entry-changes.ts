/** What differs between entries that have a name each: upstreams and downlinks. */
import { type ConfigChange, changeText, differences, shownValue } from './changes.ts'

interface Entry {
  readonly name: string
}

export interface EntryChanges<E extends Entry> {
  readonly added: readonly E[]
  readonly removed: readonly E[]
  readonly changed: readonly E[]
  /** A line each. */
  readonly lines: readonly string[]
}

/**
 * @param list `upstreams`, for the lines
 * @param secrets keys whose values no line shows
 */
export function entryChanges<E extends Entry>(
  list: string,
  before: readonly E[],
  after: readonly E[],
  secrets: ReadonlySet<string>,
): EntryChanges<E> {
  const old = new Map(before.map((entry) => [entry.name, entry]))
  const names = new Set(after.map(({ name }) => name))
  const added = after.filter(({ name }) => !old.has(name))
  const removed = before.filter(({ name }) => !names.has(name))
  const found = after.flatMap((entry) => {
    const was = old.get(entry.name)
    const changes = was === undefined ? [] : differences([list, entry.name], was, entry)
    return changes.length === 0 ? [] : [{ entry, changes }]
  })
  return {
    added,
    removed,
    changed: found.map(({ entry }) => entry),
    lines: [
      ...removed.map(({ name }) => `${list}.${name}: removed; what it has acknowledged stays remembered`),
      ...added.map(({ name }) => `${list}.${name}: added`),
      ...found.flatMap(({ changes }) => changes.map((change) => lineOf(change, secrets))),
    ],
  }
}

function lineOf(change: ConfigChange, secrets: ReadonlySet<string>): string {
  const isSecret = change.path.some((step) => secrets.has(step))
  const shown = (value: unknown) =>
    isSecret && value !== undefined ? '(not shown)' : shownValue(withoutSecrets(value, secrets))
  return changeText(change, shown)
}

function withoutSecrets(value: unknown, secrets: ReadonlySet<string>): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map((item) => withoutSecrets(item, secrets))
  const entries = Object.entries(value)
  return Object.fromEntries(
    entries.map(([key, item]) => [key, secrets.has(key) ? '(not shown)' : withoutSecrets(item, secrets)]),
  )
}
