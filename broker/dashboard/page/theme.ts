/** Light, dark, or as the system has it. The choice stays in this browser. */
import { Store } from '../state/store.ts'

export type ThemeChoice = 'system' | 'light' | 'dark'

const PLACE = 'headwater-theme'
const ORDER: readonly ThemeChoice[] = ['system', 'light', 'dark']

export function openTheme(): Store<ThemeChoice> {
  const kept = read()
  const theme = new Store<ThemeChoice>(ORDER.find((choice) => choice === kept) ?? 'system')
  const apply = () => {
    if (theme.value === 'system') delete document.documentElement.dataset.theme
    else document.documentElement.dataset.theme = theme.value
    keep(theme.value)
  }
  theme.subscribe(apply)
  apply()
  return theme
}

export function nextTheme(choice: ThemeChoice): ThemeChoice {
  return ORDER[(ORDER.indexOf(choice) + 1) % ORDER.length]!
}

/** Storage can be forbidden; then the choice holds until the page is left. */
function read(): string | null {
  try {
    return localStorage.getItem(PLACE)
  } catch {
    return null
  }
}

function keep(choice: ThemeChoice): void {
  try {
    localStorage.setItem(PLACE, choice)
  } catch {}
}
