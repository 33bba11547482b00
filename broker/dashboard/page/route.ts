/** Which view is shown, and of what: `#tail?stream=events`. */
import { useEffect, useState } from 'preact/hooks'

export const VIEWS = ['overview', 'streams', 'upstreams', 'clients', 'tail', 'tables'] as const
export type View = (typeof VIEWS)[number]

export interface Route {
  readonly view: View
  readonly stream: string | null
}

export function routeOf(hash: string): Route {
  const [name, query = ''] = hash.replace(/^#\/?/, '').split('?')
  const view = VIEWS.find((known) => known === name) ?? 'overview'
  return { view, stream: new URLSearchParams(query).get('stream') }
}

export function hrefOf(view: View, stream?: string): string {
  return stream === undefined ? `#${view}` : `#${view}?${new URLSearchParams({ stream })}`
}

export function useRoute(): Route {
  const [hash, setHash] = useState(location.hash)
  useEffect(() => {
    const changed = () => setHash(location.hash)
    addEventListener('hashchange', changed)
    return () => removeEventListener('hashchange', changed)
  }, [])
  return routeOf(hash)
}
