/** Values by topic, found by filter: an exact filter costs its levels, a wildcard those topics below it that can match. */

interface Node<T> {
  children: Map<string, Node<T>> | null
  value: T | undefined
}

export class TopicTree<T> {
  readonly #root: Node<T> = { children: null, value: undefined }
  size = 0

  get(topic: string): T | undefined {
    let node: Node<T> | undefined = this.#root
    for (const level of topic.split('/')) {
      node = node.children?.get(level)
      if (node === undefined) return undefined
    }
    return node.value
  }

  set(topic: string, value: T): void {
    let node = this.#root
    for (const level of topic.split('/')) {
      node.children ??= new Map()
      let next = node.children.get(level)
      if (next === undefined) {
        next = { children: null, value: undefined }
        node.children.set(level, next)
      }
      node = next
    }
    if (node.value === undefined) this.size++
    node.value = value
  }

  delete(topic: string): boolean {
    const levels = topic.split('/')
    const path: Node<T>[] = [this.#root]
    for (const level of levels) {
      const next = path.at(-1)!.children?.get(level)
      if (next === undefined) return false
      path.push(next)
    }
    const leaf = path.at(-1)!
    if (leaf.value === undefined) return false
    leaf.value = undefined
    this.size--
    for (let i = levels.length; i > 0 && path[i]!.value === undefined && path[i]!.children === null; i--) {
      const { children } = path[i - 1]!
      children!.delete(levels[i - 1]!)
      if (children!.size === 0) path[i - 1]!.children = null
    }
    return true
  }

  /** All values whose topics match; a filter that begins with a wildcard matches no topic that begins with $ [MQTT-4.7.2-1]. */
  match(filter: string): T[] {
    const found: T[] = []
    collect(this.#root, filter.split('/'), 0, found)
    return found
  }

  values(): T[] {
    const found: T[] = []
    collectAll(this.#root, found)
    return found
  }
}

function collect<T>(node: Node<T>, filter: readonly string[], at: number, found: T[]): void {
  if (at === filter.length) {
    if (node.value !== undefined) found.push(node.value)
    return
  }
  const level = filter[at]!
  if (level === '#') {
    // "a/#" matches "a" as well [MQTT 5, section 4.7.1.2]
    if (node.value !== undefined) found.push(node.value)
    for (const [name, child] of node.children ?? []) if (isOpen(at, name)) collectAll(child, found)
  } else if (level === '+') {
    for (const [name, child] of node.children ?? [])
      if (isOpen(at, name)) collect(child, filter, at + 1, found)
  } else {
    const child = node.children?.get(level)
    if (child !== undefined) collect(child, filter, at + 1, found)
  }
}

function collectAll<T>(node: Node<T>, found: T[]): void {
  if (node.value !== undefined) found.push(node.value)
  if (node.children !== null) for (const child of node.children.values()) collectAll(child, found)
}

function isOpen(at: number, name: string): boolean {
  return at > 0 || !name.startsWith('$')
}
