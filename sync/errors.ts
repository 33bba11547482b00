/** All operating errors of sync, from where they are kept: by folder, and here by what they are of. */
export * from './archive/errors.ts'
export * from './downlink/errors.ts'
export * from './kafka/errors.ts'
export * from './nats/errors.ts'
export * from './position-errors.ts'
export * from './security-errors.ts'
export * from './upstream-errors.ts'
