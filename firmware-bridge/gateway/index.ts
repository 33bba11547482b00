/** The gateway, as the bridge puts it together. */
export { type BodyMapper, opaqueBodies } from './bodies.ts'
export type { DeviceCounters, GatewayCounters } from './counters.ts'
export type { DeviceStateName, DeviceStatus } from './device-state.ts'
export { Gateway, type GatewayParts } from './gateway.ts'
export type { GatewayLink } from './link-port.ts'
export { predefinedFault } from './predefined-topics.ts'
