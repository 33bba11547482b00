import { describeWithKafka } from '../../support/kafka/index.ts'
import { describeUpstream } from '../upstream-contract.ts'
import { kafkaPlace, type PlaceOptions } from './kafka-place.ts'

/** Fewer partitions than one stream of the suite has, more than the other. */
const OTHER_COUNTS = { events: 2, alarms: 3 }

const VARIANTS: readonly { kind: string; place: PlaceOptions; mayRepeat?: boolean }[] = [
  { kind: 'kafka', place: {} },
  { kind: 'kafka, by key', place: { topics: OTHER_COUNTS, options: { compression: 'gzip' } } },
  { kind: 'kafka, fleet', place: { options: { mode: 'fleet' } }, mayRepeat: true },
  {
    kind: 'kafka, fleet, by key',
    place: { topics: OTHER_COUNTS, options: { mode: 'fleet', compression: 'lz4' } },
    mayRepeat: true,
  },
]

describeWithKafka('a real Kafka', ({ bootstrap }) => {
  for (const { place, ...harness } of VARIANTS) {
    describeUpstream({ ...harness, refusesStreams: true, place: () => kafkaPlace(bootstrap, place) })
  }
})
