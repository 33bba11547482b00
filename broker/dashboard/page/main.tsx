/** Puts the page together. */
import { render } from 'preact'
import { Api } from '../api/api.ts'
import { Live } from '../state/live.ts'
import { App } from './app.tsx'
import { openTheme } from './theme.ts'
import { Token } from './token.ts'

const token = new Token()
const api = new Api({ fetch: (...request) => fetch(...request), token })
const live = new Live({
  api,
  hasToken: () => token.get() !== null,
  now: Date.now,
  after: (ms, call) => {
    const timer = setTimeout(call, ms)
    return () => clearTimeout(timer)
  },
})
document.addEventListener('visibilitychange', () => live.setHidden(document.hidden))
addEventListener('online', () => void live.poll())
live.setHidden(document.hidden)
void live.poll()

render(<App api={api} live={live} token={token} theme={openTheme()} />, document.getElementById('app')!)
