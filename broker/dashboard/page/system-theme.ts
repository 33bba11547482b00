import { useEffect, useState } from 'preact/hooks'

/** What the system prefers; changes with it. */
export function useSystemTheme(): 'light' | 'dark' {
  const [isDark, setDark] = useState(() => matchMedia(QUERY).matches)
  useEffect(() => {
    const query = matchMedia(QUERY)
    const changed = () => setDark(query.matches)
    query.addEventListener('change', changed)
    return () => query.removeEventListener('change', changed)
  }, [])
  return isDark ? 'dark' : 'light'
}

const QUERY = '(prefers-color-scheme: dark)'
