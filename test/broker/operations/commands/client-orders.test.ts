import { expect, test } from 'vitest'
import type { ClientStatus } from '../../../../broker/mqtt/connection/client-status.ts'
import {
  CLIENT_ORDERS,
  type ClientOrder,
  sortClients,
} from '../../../../broker/operations/commands/client-orders.ts'

const client = (clientId: string, figures: Partial<ClientStatus>): ClientStatus => ({
  clientId,
  user: null,
  address: '127.0.0.1:1',
  listener: null,
  version: 4,
  since: 0,
  keepAliveSeconds: 0,
  lastSeenAt: 0,
  messagesIn: 0,
  messagesOut: 0,
  bytesIn: 0,
  bytesOut: 0,
  unacknowledged: 0,
  inFlight: 0,
  queued: 0,
  outboxBytes: 0,
  ...figures,
})
const CLIENTS = [
  client('b', { user: 'ann', since: 30, lastSeenAt: 5, messagesIn: 9, bytesIn: 10 }),
  client('a', { user: 'bob', since: 20, lastSeenAt: 9, messagesOut: 9, bytesOut: 20 }),
  client('c', { since: 10, lastSeenAt: 7, queued: 9, bytesIn: 8, bytesOut: 8 }),
]

test.each<[ClientOrder, string]>([
  ['id', 'a b c'],
  ['user', 'c b a'],
  ['since', 'c a b'],
  ['seen', 'a c b'],
  ['in', 'b a c'],
  ['out', 'a b c'],
  ['bytes', 'a c b'],
  ['queued', 'c a b'],
])('by %s: %s', (order, ids) => {
  expect(
    sortClients(CLIENTS, order)
      .map(({ clientId }) => clientId)
      .join(' '),
  ).toBe(ids)
})

test('every order is among those above', () => {
  expect(CLIENT_ORDERS).toEqual(['id', 'user', 'since', 'seen', 'in', 'out', 'bytes', 'queued'])
})
