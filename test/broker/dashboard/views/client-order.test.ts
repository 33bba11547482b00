import { expect, it } from 'vitest'
import type { ClientStatus } from '../../../../broker/dashboard/api/types.ts'
import { matchingClients, type Sorting } from '../../../../broker/dashboard/views/client-order.ts'

const client = (clientId: string, change: Partial<ClientStatus> = {}) =>
  ({ clientId, user: null, address: '10.0.0.1:1', since: 0, messagesIn: 0, ...change }) as ClientStatus

const ids = (clients: readonly ClientStatus[], filter: string, sorting: Partial<Sorting> = {}) =>
  matchingClients(clients, filter, { column: 'clientId', isDescending: false, ...sorting }).map(
    ({ clientId }) => clientId,
  )

it('clients are found by client id, user or address, whatever the case', () => {
  const clients = [client('Pump-1'), client('b', { user: 'PUMPS' }), client('c', { address: '10.9.9.9:77' })]
  expect(ids(clients, ' pump ')).toEqual(['b', 'Pump-1'])
  expect(ids(clients, '9.9:77')).toEqual(['c'])
  expect(ids(clients, 'x')).toEqual([])
})

it('numbers in names count as numbers, and what is equal is in the order of client ids', () => {
  const clients = [client('s-10'), client('s-9'), client('s-1', { messagesIn: 5 })]
  expect(ids(clients, '')).toEqual(['s-1', 's-9', 's-10'])
  expect(ids(clients, '', { isDescending: true })).toEqual(['s-10', 's-9', 's-1'])
  expect(ids(clients, '', { column: 'messagesIn' })).toEqual(['s-9', 's-10', 's-1'])
})

it('the one that is connected longest has the largest age', () => {
  const clients = [client('new', { since: 900 }), client('old', { since: 100 })]
  expect(ids(clients, '', { column: 'since', isDescending: true })).toEqual(['old', 'new'])
})
