import { describeWithKafka } from '../../support/kafka/index.ts'
import { describeUpstream } from '../upstream-contract.ts'
import { kafkaPlace } from './kafka-place.ts'

describeWithKafka('a real Kafka', ({ bootstrap }) => {
  describeUpstream({ kind: 'kafka', place: () => kafkaPlace(bootstrap) })
})
