export {
  COORDINATOR_TOPICS,
  coordinatorOf,
  moveLeader,
  type PartitionPlace,
  placeOf,
  untilPlace,
  withAdmin,
} from './leadership.ts'
export type { ExtraListener } from './properties.ts'
export { type ReadOptions, readTopic, type TopicRecord } from './read-topic.ts'
export { type SecureKafka, type SecureListener, startSecureKafka } from './secure.ts'
export {
  type KafkaCluster,
  type KafkaOptions,
  type KafkaServer,
  startKafka,
  startKafkaCluster,
} from './server.ts'
export { createTopic, deleteTopic, growTopic } from './topics.ts'
export { canStartOwnKafka, describeWithKafka, describeWithOwnKafka, uniqueName } from './vitest.ts'
