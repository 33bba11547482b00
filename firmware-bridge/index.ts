/** The public surface of the firmware bridge. */
export { Bridge, type BridgeParts } from './bridge.ts'
export type { BridgeConfig, LinkConfig } from './config/schema.ts'
export * from './errors.ts'
export type { BridgeReport, LinkReport } from './status/report.ts'
export type { DeviceConnect, DeviceSession, SessionListener, Uplink } from './uplink/uplink.ts'
