/** `headwater clients`: who is connected by MQTT, and `clients disconnect`, which ends a connection. */
import type { ClientStatus } from '../../mqtt/connection/client-status.ts'
import { ControlClient } from '../control/control-client.ts'
import { UsageError } from '../errors.ts'
import { ExitCode } from '../exit-codes.ts'
import type { Output } from '../terminal/output.ts'
import { printable } from '../terminal/printable.ts'
import { printTable } from '../terminal/table.ts'
import { ago, bytes, count, duration, plural } from '../terminal/units.ts'
import { type ClientOrder, sortClients } from './client-orders.ts'
import { type CommandContext, type ConfigOptions, dataDirectoryOf } from './context.ts'

export interface ClientsAnswer {
  readonly clients: readonly ClientStatus[]
}

export type ClientsOptions = ConfigOptions & {
  readonly json: boolean
  readonly sort: ClientOrder
  readonly count?: number
}

export async function runClients(context: CommandContext, options: ClientsOptions): Promise<number> {
  const broker = await ControlClient.of(await dataDirectoryOf(context, options))
  const { clients } = await broker.json<ClientsAnswer>('GET', '/clients')
  const sorted = sortClients(clients, options.sort).slice(0, options.count)
  if (options.json) context.out.json({ clients: sorted })
  else printClients(context.out, sorted, clients.length)
  return ExitCode.ok
}

const VERSIONS: Readonly<Record<number, string>> = { 3: '3.1', 4: '3.1.1', 5: '5' }

function printClients(out: Output, clients: readonly ClientStatus[], total: number): void {
  if (total === 0) {
    out.line('no client is connected')
    return
  }
  const now = Date.now()
  const rows = clients.map((client) => [
    printable(client.clientId),
    client.user === null ? '-' : printable(client.user),
    client.address,
    VERSIONS[client.version] ?? String(client.version),
    duration(now - client.since),
    ago(client.lastSeenAt, now),
    count(client.messagesIn),
    count(client.messagesOut),
    bytes(client.bytesIn + client.bytesOut),
    count(client.inFlight + client.unacknowledged),
    count(client.queued),
  ])
  printTable(
    out,
    [
      { title: 'CLIENT' },
      { title: 'USER' },
      { title: 'ADDRESS' },
      { title: 'MQTT', isExtra: true },
      { title: 'CONNECTED', align: 'right', isExtra: true },
      { title: 'LAST SEEN', align: 'right', isExtra: true },
      { title: 'IN', align: 'right' },
      { title: 'OUT', align: 'right' },
      { title: 'BYTES', align: 'right' },
      { title: 'IN FLIGHT', align: 'right', isExtra: true },
      { title: 'QUEUED', align: 'right' },
    ],
    rows,
  )
  if (clients.length < total) out.line(`${plural(total - clients.length, 'client')} more`)
}

/** @throws NotRunningError, UsageError, RemoteError with HW_UNKNOWN_CLIENT */
export async function runDisconnect(
  context: CommandContext,
  clientId: string,
  options: ConfigOptions & { readonly json: boolean; readonly yes: boolean },
): Promise<number> {
  const broker = await ControlClient.of(await dataDirectoryOf(context, options))
  if (!options.yes && !(await isConfirmed(context, broker, clientId))) {
    context.err.line('nothing was done')
    return ExitCode.failed
  }
  await broker.json('POST', '/clients/disconnect', { clientId })
  if (options.json) context.out.json({ disconnected: true, clientId })
  else context.out.line(`${printable(clientId)} is disconnected; it may connect again`)
  return ExitCode.ok
}

async function isConfirmed(
  context: CommandContext,
  broker: ControlClient,
  clientId: string,
): Promise<boolean> {
  if (context.confirm === undefined) {
    throw new UsageError(
      `nobody is here to confirm that ${printable(clientId)} is to be disconnected`,
      'say it with --yes',
    )
  }
  const { clients } = await broker.json<ClientsAnswer>('GET', '/clients')
  const client = clients.find((each) => each.clientId === clientId)
  // the broker's own answer says that there is none
  if (client === undefined) return true
  const user = client.user === null ? '' : `, user ${printable(client.user)}`
  const since = duration(Date.now() - client.since)
  return context.confirm(
    `${printable(clientId)} at ${client.address}${user}, connected for ${since}: end its connection?`,
  )
}
