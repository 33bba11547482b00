/** Asks for the API's token. */
import { useEffect, useRef } from 'preact/hooks'
import { Prose } from '../parts/prose.tsx'
import type { Link, Live } from '../state/live.ts'
import type { Token } from './token.ts'

interface TokenFormProps {
  readonly link: Link & { readonly state: 'locked' }
  readonly token: Token
  readonly live: Live
}

export function TokenForm({ link, token, live }: TokenFormProps) {
  const input = useRef<HTMLInputElement>(null)
  useEffect(() => input.current?.focus(), [])
  const submit = (event: Event) => {
    event.preventDefault()
    const value = input.current?.value.trim() ?? ''
    if (value === '') return
    token.set(value)
    void live.poll()
  }
  return (
    <form class="card token" onSubmit={submit}>
      <h2>Token</h2>
      <p>
        This broker shows itself to those who have its token: what is in the file that{' '}
        <code>http.tokenFile</code> names. It stays in this tab until the tab is closed.
      </p>
      <p class={link.isRefused ? 'fault' : 'hint'} role="alert">
        <Prose text={link.reason} />
      </p>
      <div class="controls">
        <label>
          Token
          <input ref={input} type="password" autocomplete="off" spellcheck={false} required />
        </label>
        <button type="submit" class="primary">
          Open
        </button>
      </div>
    </form>
  )
}
