/** Whether a subscription's filter matches a topic (MQTT 5.0 section 4.7). Both are valid. */
export function filterMatches(filter: string, topic: string): boolean {
  const levels = filter.split('/')
  const names = topic.split('/')
  // wildcards at the beginning do not match the broker's own topics
  if (topic.startsWith('$') && (levels[0] === '+' || levels[0] === '#')) return false
  for (const [index, level] of levels.entries()) {
    if (level === '#') return true
    if (index >= names.length || (level !== '+' && level !== names[index])) return false
  }
  return levels.length === names.length
}
