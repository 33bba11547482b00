/**
 * MQTT topic filters: what is wrong with one (MQTT 5.0 section 4.7), and whether one covers another. The matcher on the
 * message path is elsewhere (broker/mqtt); this is for configuration, where the answer is a sentence.
 */

/** A topic is a UTF-8 string with a two-byte length (MQTT 5.0 section 1.5.4). */
const TOPIC_BYTES_MAX = 65_535

/** @returns what is wrong with the filter, or null when it is valid for a subscription. */
export function topicFilterFault(filter: string): string | null {
  if (filter === '') return 'a topic filter is at least one character long'
  if (filter.includes('\0')) return 'a topic filter holds no U+0000'
  if (/\p{Cs}/u.test(filter)) return 'a topic filter is valid Unicode; this one has half a surrogate pair'
  const bytes = Buffer.byteLength(filter)
  if (bytes > TOPIC_BYTES_MAX)
    return `the filter is ${bytes} bytes, a topic is at most ${TOPIC_BYTES_MAX} bytes`
  if (filter === '$share' || filter.startsWith('$share/')) return sharedFilterFault(filter)
  const levels = filter.split('/')
  for (const [index, level] of levels.entries()) {
    if (level === '#' && index < levels.length - 1) {
      return `"#" stands only at the end; "${levels.slice(index + 1).join('/')}" follows it`
    }
    if (level.length > 1 && level.includes('#')) {
      return `"#" takes a whole level; in "${level}" it is part of one`
    }
    if (level.length > 1 && level.includes('+')) {
      return `"+" takes a whole level; in "${level}" it is part of one`
    }
  }
  return null
}

/** MQTT 5.0 section 4.8.2: `$share/{group}/{filter}`. */
function sharedFilterFault(filter: string): string | null {
  const parts = filter.split('/')
  const group = parts[1] ?? ''
  if (group === '' || /[+#]/.test(group)) return '"$share" is followed by a group name without "+" and "#"'
  if (parts.length < 3) return '"$share/group" is followed by a topic filter'
  return topicFilterFault(parts.slice(2).join('/'))
}

/**
 * What is wrong with the filter for a stream, which records what is published: neither a shared subscription nor the
 * broker's own topics make sense there.
 */
export function streamFilterFault(filter: string): string | null {
  if (filter === '$share' || filter.startsWith('$share/')) {
    return 'a stream has no shared subscriptions; write the filter without "$share/group/"'
  }
  const fault = topicFilterFault(filter)
  if (fault !== null) return fault
  if (filter.startsWith('$')) return 'topics that begin with "$" belong to the broker and are never recorded'
  return null
}

/**
 * Whether every topic that `inner` matches is matched by `outer`. Both are valid stream filters. "a/#" also matches
 * "a", its parent (MQTT 5.0 section 4.7.1.2).
 */
export function filterCovers(outer: string, inner: string): boolean {
  const outerLevels = outer.split('/')
  const innerLevels = inner.split('/')
  for (const [index, level] of outerLevels.entries()) {
    if (level === '#') return true
    const other = innerLevels[index]
    if (other === undefined || other === '#') return false
    if (level !== '+' && level !== other) return false
  }
  if (innerLevels.length === outerLevels.length) return true
  return false
}
