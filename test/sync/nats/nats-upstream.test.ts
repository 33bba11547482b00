import { describeWithNats } from '../../support/nats/vitest.ts'
import { describeUpstream } from '../upstream-contract.ts'
import { natsPlace } from './open-nats.ts'

describeWithNats('a real nats-server', (start) => {
  describeUpstream({
    kind: 'nats',
    atomic: 'part',
    refusesStreams: true,
    place: async () => natsPlace((await start()).address),
  })
})

describeWithNats('a real nats-server, with messages of a few records', (start) => {
  const config = { messageBytesMax: 300, stream: 'HW-{edge}-{stream}' }
  describeUpstream({
    kind: 'nats',
    atomic: 'part',
    refusesStreams: true,
    place: async () => natsPlace((await start()).address, config),
  })
})
