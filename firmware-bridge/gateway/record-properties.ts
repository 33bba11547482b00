/** What travels with a device's message as MQTT 5 user properties, and becomes headers of its record. On the wire: never change. */
import type { MappedBody } from '../bodies/mapped-body.ts'
import type { GatewayContext } from './context.ts'

/** @param clientId null: of a device that never connects */
export function recordProperties(
  context: GatewayContext,
  link: string,
  clientId: string | null,
  mapped: MappedBody | null,
): Record<string, string> {
  const properties: Record<string, string> = {
    'bridge.arrival-time': String(Math.round(context.clock.now())),
    'bridge.clock': context.isClockTrusted() ? 'trusted' : 'untrusted',
    'bridge.link': link,
  }
  if (clientId !== null) properties['bridge.device'] = clientId
  if (mapped?.kind !== 'mapped') return properties
  if (mapped.deviceTimeMs !== null) properties['bridge.device-time'] = String(mapped.deviceTimeMs)
  if (mapped.fault !== undefined) properties['bridge.body-fault'] = mapped.fault
  return properties
}
