/** The broker's public surface: what sync and the command line may use. */
export { AssertionError, assert, unreachable } from './assert.ts'
export * from './errors.ts'
export { crc32c } from './storage/crc32c.ts'
export * from './log/record-batch.ts'
export * from './log/source.ts'
export { cursor, readVarint, varintSize, writeVarint } from './log/varint.ts'
