/** Who is connected. */
import { useEffect, useMemo, useState } from 'preact/hooks'
import type { ClientStatus } from '../api/types.ts'
import { useNow, useSnapshot, useSurroundings } from '../page/hooks.ts'
import { Prose } from '../parts/prose.tsx'
import { Empty, ScrollTable } from '../parts/scroll.tsx'
import { ago, bytes, count, duration, exactTime, plural } from '../text/units.ts'
import { visible } from '../text/visible.ts'
import { type ClientColumn, matchingClients, type Sorting } from './client-order.ts'
import { disconnection } from './commands.ts'

/** More rows than this are a matter for the filter. */
const ROWS_MAX = 200

interface Column {
  readonly key: ClientColumn
  readonly name: string
  readonly isNumber: boolean
  readonly text: (client: ClientStatus, now: number) => string
  readonly title?: (client: ClientStatus) => string
}

const VERSIONS: Readonly<Record<number, string>> = { 3: '3.1', 4: '3.1.1', 5: '5' }

const COLUMNS: readonly Column[] = [
  {
    key: 'user',
    name: 'User',
    isNumber: false,
    text: ({ user }) => (user === null ? '\u2013' : visible(user)),
  },
  {
    key: 'address',
    name: 'Address',
    isNumber: false,
    text: ({ address }) => visible(address),
    title: ({ listener }) => (listener === null ? '' : `came to ${visible(listener)}`),
  },
  {
    key: 'version',
    name: 'MQTT',
    isNumber: false,
    text: ({ version }) => VERSIONS[version] ?? String(version),
  },
  {
    key: 'since',
    name: 'Connected',
    isNumber: true,
    text: ({ since }, now) => duration(now - since),
    title: ({ since }) => `since ${exactTime(since)}`,
  },
  {
    key: 'lastSeenAt',
    name: 'Last packet',
    isNumber: true,
    text: ({ lastSeenAt }, now) => ago(lastSeenAt, now),
    title: ({ keepAliveSeconds }) =>
      keepAliveSeconds === 0 ? 'no keep alive' : `keep alive ${keepAliveSeconds} s`,
  },
  {
    key: 'messagesIn',
    name: 'Messages in',
    isNumber: true,
    text: ({ messagesIn }) => count(messagesIn),
  },
  {
    key: 'messagesOut',
    name: 'Messages out',
    isNumber: true,
    text: ({ messagesOut }) => count(messagesOut),
  },
  { key: 'bytesIn', name: 'Bytes in', isNumber: true, text: ({ bytesIn }) => bytes(bytesIn) },
  { key: 'bytesOut', name: 'Bytes out', isNumber: true, text: ({ bytesOut }) => bytes(bytesOut) },
  {
    key: 'queued',
    name: 'Queued',
    isNumber: true,
    text: ({ queued }) => count(queued),
    title: ({ inFlight, unacknowledged }) =>
      `${count(inFlight)} not acknowledged by it, ${count(unacknowledged)} of its own not acknowledged yet`,
  },
]

export function Clients() {
  const { live } = useSurroundings()
  const { clients, clientsFault, report } = useSnapshot()
  const now = useNow(5_000)
  const [filter, setFilter] = useState('')
  const [sorting, setSorting] = useState<Sorting>({ column: 'clientId', isDescending: false })
  useEffect(() => {
    live.wantClients(true)
    return () => live.wantClients(false)
  }, [live])
  const matching = useMemo(() => matchingClients(clients ?? [], filter, sorting), [clients, filter, sorting])
  const shown = matching.slice(0, ROWS_MAX)
  const listener = report?.broker?.mqtt.listeners[0]
  return (
    <section class="card" aria-labelledby="clients-title">
      <header class="card-head">
        <h2 id="clients-title">Clients</h2>
        <span class="muted" role="status">
          {clients === null
            ? clientsFault === null
              ? 'asking \u2026'
              : ''
            : countText(clients.length, matching.length)}
        </span>
        <label class="filter">
          <span class="unseen">Filter by client id, user or address</span>
          <input
            type="search"
            placeholder="Client id, user or address"
            value={filter}
            onInput={(event) => setFilter(event.currentTarget.value)}
          />
        </label>
      </header>
      {clientsFault !== null && (
        <p class="fault" role="alert">
          <Prose text={clientsFault} />
        </p>
      )}
      {clients?.length === 0 && (
        <Empty>{`Nobody is connected${listener === undefined ? '.' : `. The broker listens on ${visible(listener)}.`}`}</Empty>
      )}
      {clients !== null && clients.length > 0 && shown.length === 0 && <Empty>No client matches.</Empty>}
      {shown.length > 0 && (
        <ScrollTable label="Connected clients">
          <Head sorting={sorting} onSort={setSorting} />
          <tbody>
            {shown.map((client) => (
              <ClientRow key={client.clientId} client={client} now={now} />
            ))}
          </tbody>
        </ScrollTable>
      )}
      {matching.length > shown.length && (
        <p class="muted">{`${plural(matching.length - shown.length, 'more client')} match; a longer filter shows them.`}</p>
      )}
    </section>
  )
}

function countText(all: number, matching: number): string {
  return all === matching ? plural(all, 'client') : `${count(matching)} of ${plural(all, 'client')}`
}

function Head({ sorting, onSort }: { sorting: Sorting; onSort: (sorting: Sorting) => void }) {
  const header = (key: ClientColumn, name: string, isNumber: boolean) => {
    const isSorted = sorting.column === key
    const order = isSorted ? (sorting.isDescending ? 'descending' : 'ascending') : 'none'
    // What is large is looked for first.
    const isDescending = isSorted ? !sorting.isDescending : isNumber
    return (
      <th key={key} scope="col" class={isNumber ? 'number' : undefined} aria-sort={order}>
        <button type="button" class="sorter" onClick={() => onSort({ column: key, isDescending })}>
          {name}
          <span class="arrow" aria-hidden="true">
            {isSorted ? (sorting.isDescending ? '\u2193' : '\u2191') : ''}
          </span>
        </button>
      </th>
    )
  }
  return (
    <thead>
      <tr>
        {header('clientId', 'Client id', false)}
        {COLUMNS.map(({ key, name, isNumber }) => header(key, name, isNumber))}
        <th scope="col">
          <span class="unseen">Actions</span>
        </th>
      </tr>
    </thead>
  )
}

function ClientRow({ client, now }: { client: ClientStatus; now: number }) {
  const { act, api, live } = useSurroundings()
  const name = visible(client.clientId)
  return (
    <tr>
      <th scope="row" class="name" title={name}>
        {name}
      </th>
      {COLUMNS.map(({ key, isNumber, text, title }) => (
        <td key={key} class={isNumber ? 'number' : undefined} title={title?.(client)}>
          {text(client, now)}
        </td>
      ))}
      <td class="row-actions">
        <button
          type="button"
          class="small"
          aria-label={`Disconnect ${name}`}
          onClick={() => act(disconnection({ api, live }, client.clientId))}
        >
          Disconnect
        </button>
      </td>
    </tr>
  )
}
