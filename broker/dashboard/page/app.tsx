/** The page: its head, what is wrong with the connection, and the view that was chosen. */
import { useCallback, useEffect, useMemo, useRef, useState } from 'preact/hooks'
import type { Api } from '../api/api.ts'
import { Icon, type IconName, Mark } from '../parts/icon.tsx'
import type { Live, Snapshot } from '../state/live.ts'
import type { Store } from '../state/store.ts'
import { plural } from '../text/units.ts'
import { visible } from '../text/visible.ts'
import { Clients } from '../views/clients.tsx'
import { Overview } from '../views/overview.tsx'
import { Streams } from '../views/streams.tsx'
import { Tables } from '../views/tables.tsx'
import { TailView } from '../views/tail.tsx'
import { Upstreams } from '../views/upstreams.tsx'
import { type Action, ActionDialog } from './actions.tsx'
import { LinkBanner } from './banner.tsx'
import { SurroundingsContext, useSnapshot, useStore } from './hooks.ts'
import { hrefOf, type Route, useRoute, VIEWS, type View } from './route.ts'
import { nextTheme, type ThemeChoice } from './theme.ts'
import type { Token } from './token.ts'
import { TokenForm } from './token-form.tsx'

export interface AppProps {
  readonly api: Api
  readonly live: Live
  readonly token: Token
  readonly theme: Store<ThemeChoice>
}

const NAMES: Readonly<Record<View, string>> = {
  overview: 'Overview',
  streams: 'Streams',
  upstreams: 'Upstreams',
  clients: 'Clients',
  tail: 'Tail',
  tables: 'Tables',
}

const NOTICE_MS = 6_000

export function App({ api, live, token, theme }: AppProps) {
  const [action, setAction] = useState<Action | null>(null)
  const [notice, setNotice] = useState<string | null>(null)
  const surroundings = useMemo(() => ({ api, live, theme, act: setAction }), [api, live, theme])
  const end = useCallback((ended: Action, told: string | null) => {
    setAction((current) => (current === ended ? null : current))
    if (told !== null) setNotice(told)
  }, [])
  useEffect(() => {
    if (notice === null) return
    const timer = setTimeout(() => setNotice(null), NOTICE_MS)
    return () => clearTimeout(timer)
  }, [notice])
  return (
    <SurroundingsContext.Provider value={surroundings}>
      <Shell token={token} live={live} theme={theme} />
      <p class={notice === null ? 'notice' : 'notice shown'} role="status">
        {notice}
      </p>
      {action !== null && <ActionDialog action={action} onEnd={(told) => end(action, told)} />}
    </SurroundingsContext.Provider>
  )
}

function Shell({ token, live, theme }: Omit<AppProps, 'api'>) {
  const snapshot = useSnapshot()
  const route = useRoute()
  const { link, alarms, report } = snapshot
  const edge = report?.broker?.edge
  useTitle(alarms.length, edge)
  const nav = useRef<HTMLElement>(null)
  // On a phone not all of them have room.
  useEffect(
    () =>
      nav.current?.querySelector('[aria-current]')?.scrollIntoView({ inline: 'center', block: 'nearest' }),
    [route.view],
  )
  const isStale = link.state !== 'live' && report !== null
  return (
    <>
      <button type="button" class="skip" onClick={() => document.getElementById('main')?.focus()}>
        To the content
      </button>
      <header class="head">
        <a class="brand" href={hrefOf('overview')}>
          <Mark />
          <b>Headwater</b>
          {edge !== undefined && <span class="edge">{visible(edge)}</span>}
        </a>
        <nav aria-label="Views" ref={nav}>
          {VIEWS.map((view) => (
            <a key={view} href={hrefOf(view)} aria-current={route.view === view ? 'page' : undefined}>
              {NAMES[view]}
            </a>
          ))}
        </nav>
        <LinkState snapshot={snapshot} />
        <ThemeButton theme={theme} />
      </header>
      <LinkBanner link={link} onRetry={() => void live.poll()} />
      <main id="main" tabIndex={-1}>
        {link.state === 'locked' && <TokenForm link={link} token={token} live={live} />}
        {report === null && link.state === 'connecting' && <p class="empty">Asking the broker …</p>}
        {report === null && link.state === 'away' && <p class="empty">There was no answer yet.</p>}
        {report !== null && (
          <div class={isStale ? 'view stale' : 'view'}>
            <ChosenView route={route} />
          </div>
        )}
      </main>
    </>
  )
}

function ChosenView({ route: { view, stream } }: { route: Route }) {
  switch (view) {
    case 'overview':
      return <Overview />
    case 'streams':
      return <Streams />
    case 'upstreams':
      return <Upstreams />
    case 'clients':
      return <Clients />
    case 'tail':
      return <TailView stream={stream} />
    case 'tables':
      return <Tables stream={stream} />
  }
}

function LinkState({ snapshot: { link, alarms } }: { snapshot: Snapshot }) {
  const worst = alarms.some(({ severity }) => severity === 'critical') ? 'critical' : 'warning'
  return (
    <span class="link-state">
      {alarms.length > 0 && (
        <a class={`badge ${worst}`} href={hrefOf('overview')}>
          {plural(alarms.length, 'alarm')}
        </a>
      )}
      <span class={`dot ${link.state}`} aria-hidden="true" />
      <span role="status">{link.state}</span>
    </span>
  )
}

const THEME_ICONS: Readonly<Record<ThemeChoice, IconName>> = { system: 'system', light: 'sun', dark: 'moon' }

function ThemeButton({ theme }: { theme: Store<ThemeChoice> }) {
  const choice = useStore(theme)
  const name = choice === 'system' ? 'as the system' : choice
  return (
    <button
      type="button"
      class="theme"
      aria-label={`Colours: ${name}`}
      title={`Colours: ${name}`}
      onClick={() => theme.set(nextTheme(choice))}
    >
      <Icon name={THEME_ICONS[choice]} />
    </button>
  )
}

/** A tab that is not looked at still shows how many alarms there are. */
function useTitle(alarms: number, edge: string | undefined): void {
  useEffect(() => {
    const name = edge === undefined ? 'Headwater' : `${visible(edge)} \u2013 Headwater`
    document.title = alarms > 0 ? `(${alarms}) ${name}` : name
  }, [alarms, edge])
}
