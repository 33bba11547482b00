/**
 * One entry of the configuration's `upstreams`: types, defaults, checks and documentation from one schema. The keyword
 * `path: true` marks a path that is relative to the file that names it.
 *
 * Loading TypeBox takes 8 MB of memory: what runs imports this file's types alone, and index.ts does not export it. The
 * command line imports it where configuration is loaded.
 */
import { type Static, Type } from '@sinclair/typebox'
import { ArchiveUpstreamSchema } from './config/archive.ts'
import { KafkaUpstreamSchema } from './config/kafka.ts'
import { NatsUpstreamSchema } from './config/nats.ts'

export { type ArchiveUpstreamConfig, ArchiveUpstreamSchema } from './config/archive.ts'
export { type DownlinkConfig, DownlinkSchema } from './config/downlink.ts'
export { type KafkaUpstreamConfig, KafkaUpstreamSchema } from './config/kafka.ts'
export { type NatsUpstreamConfig, NatsUpstreamSchema } from './config/nats.ts'

export const UpstreamSchema = Type.Union([ArchiveUpstreamSchema, KafkaUpstreamSchema, NatsUpstreamSchema], {
  description: 'one upstream',
})

export type UpstreamConfig = Static<typeof UpstreamSchema>
