/** What all devices of a gateway share. */
import type { LimitedLog } from '../../broker/limited-log.ts'
import type { Clock } from '../clock.ts'
import type { Uplink } from '../uplink/uplink.ts'
import type { BodyMapper } from './bodies.ts'
import type { GatewayConfig } from './config.ts'
import type { GatewayCounters } from './counters.ts'
import type { Deadlines } from './deadlines.ts'
import type { Joins } from './joins.ts'
import type { PredefinedTopics } from './predefined-topics.ts'
import type { Priorities } from './topic-names.ts'

export interface GatewayContext {
  readonly config: GatewayConfig
  readonly clock: Clock
  /** Whether `clock.now()` can be believed. */
  readonly isClockTrusted: () => boolean
  readonly deadlines: Deadlines
  readonly uplink: Uplink
  /** Of what devices can cause: limited, by kinds that no device can make more of. */
  readonly log: LimitedLog
  readonly counters: GatewayCounters
  readonly bodies: BodyMapper
  readonly joins: Joins
  readonly predefined: PredefinedTopics
  readonly priorities: Priorities
}
