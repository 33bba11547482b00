/** Errors after which a link can never work as it is configured. All else is waited for (`Link.trouble`). */
import { HeadwaterError } from '../../broker/errors.ts'

/** The native part of the serialport package does not load on this machine. */
export class SerialLibraryError extends HeadwaterError {
  constructor(cause: unknown) {
    super('HW_BRIDGE_SERIAL', `serial ports cannot be used: ${String(cause)}`, {
      hint: 'install again with `npm ci`, on Linux for x64, arm64 or armv7',
      cause,
    })
  }
}

/** A UDP address cannot be bound. */
export class UdpAddressError extends HeadwaterError {
  constructor(address: string, reason: string, hint: string, cause?: unknown) {
    super('HW_BRIDGE_UDP', `UDP ${address}: ${reason}`, { hint, cause })
  }
}
