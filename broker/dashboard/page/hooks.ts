/** What components share of their surroundings. */
import { createContext } from 'preact'
import { useContext, useEffect, useState } from 'preact/hooks'
import type { Api } from '../api/api.ts'
import type { Live, Snapshot } from '../state/live.ts'
import type { Store } from '../state/store.ts'
import type { Action } from './actions.tsx'
import { nextFrame } from './frame.ts'
import type { ThemeChoice } from './theme.ts'

export interface Surroundings {
  readonly api: Api
  readonly live: Live
  /** Asks for a confirmation, then does it. */
  readonly act: (action: Action) => void
  readonly theme: Store<ThemeChoice>
}

export const SurroundingsContext = createContext<Surroundings | null>(null)

export function useSurroundings(): Surroundings {
  const surroundings = useContext(SurroundingsContext)
  if (surroundings === null) throw new Error('there is no context around this component')
  return surroundings
}

/** Draws anew when it changes, at most once a frame. */
export function useStore<T>(store: Store<T>): T {
  const [value, setValue] = useState(store.value)
  useEffect(() => {
    let isWaiting = false
    let isGone = false
    const changed = () => {
      if (isWaiting) return
      isWaiting = true
      void nextFrame().then(() => {
        isWaiting = false
        if (!isGone) setValue(() => store.value)
      })
    }
    setValue(() => store.value)
    const unsubscribe = store.subscribe(changed)
    return () => {
      isGone = true
      unsubscribe()
    }
  }, [store])
  return value
}

export function useSnapshot(): Snapshot {
  return useStore(useSurroundings().live.store)
}

/** The time by this machine's clock, as often as it is shown. */
export function useNow(everyMs: number): number {
  const [now, setNow] = useState(Date.now)
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs)
    return () => clearInterval(timer)
  }, [everyMs])
  return now
}
