/** Sync's public surface: what the command line may use. The configuration's schema is in config.ts, apart: see there. */
export type { AuditedLog, AuditSource } from './audit/source.ts'
export { type AuditProgress, type AuditReport, type VerifyRequest, verifyUpstream } from './audit/verify.ts'
export type { CachedCheckpoint, CheckpointCache } from './checkpoint.ts'
export { checkpointCache, type Facts, rememberedPositions } from './checkpoint-store.ts'
export type { Clock } from './clock.ts'
export type { ReadClock } from './clock-reading.ts'
export type {
  ArchiveUpstreamConfig,
  DownlinkConfig,
  KafkaUpstreamConfig,
  NatsUpstreamConfig,
  UpstreamConfig,
} from './config.ts'
export {
  createAuditSource,
  createReplicator,
  createUpstream,
  type ReplicatorWiring,
  type UpstreamDeps,
  upstreamFaults,
} from './create.ts'
export type { Downlink } from './downlink/downlink.ts'
export { downlinkFaults } from './downlink/faults.ts'
export type { DownlinkStatus } from './downlink/status.ts'
export * from './errors.ts'
export { recordWishes } from './filter/wish.ts'
export { type ExamineDeps, examineLink, type LinkFinding } from './link/examine.ts'
export { type LinkMemory, linkMemory } from './link/link-memory.ts'
export type { ConfigFault } from './link-faults.ts'
export { Replicator } from './replicator.ts'
export type { ReplicatorDeps, ReplicatorOptions } from './replicator-parts.ts'
export type { ReplicatorState, ReplicatorStatus } from './status.ts'
export type * from './upstream.ts'
