/** What travels with a message as MQTT 5 user properties, and becomes headers of its record. */
import type { Clock } from '../clock.ts'

export interface StampHost {
  readonly clock: Clock
  /** Whether `clock.now()` can be believed. */
  readonly isClockTrusted: () => boolean
}

export function stamp(host: StampHost, link: string, device: string): Record<string, string> {
  return {
    'bridge.arrival-time': String(Math.round(host.clock.now())),
    'bridge.clock': host.isClockTrusted() ? 'trusted' : 'untrusted',
    'bridge.link': link,
    'bridge.device': device,
  }
}

/** `/dev/serial/by-id/usb-Arduino_Uno-if00` is `usb-Arduino_Uno-if00`. */
export function portName(port: string): string {
  return port.slice(port.lastIndexOf('/') + 1)
}
