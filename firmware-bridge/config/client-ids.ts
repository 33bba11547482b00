/** Client ids under which the bridge itself publishes, without the prefix, as devices have theirs. */
import { portName } from '../outlet/stamp.ts'
import type { BridgeConfig, LinkConfig } from './schema.ts'

type OutletConfig = Extract<LinkConfig, { readonly protocol: 'line' | 'modbus' }>

/** Of the session of the bridge itself. */
export function bridgeClientId({ gateway }: Pick<BridgeConfig, 'gateway'>): string {
  return `headwater-bridge-${gateway.id}`
}

/** Of the session of a link that publishes by itself. */
export function outletClientId({ clientId, port }: Pick<OutletConfig, 'clientId' | 'port'>): string {
  return clientId ?? `bridge-${portName(port)}`
}

export function isOutlet(link: LinkConfig): link is OutletConfig {
  return link.kind === 'serial' && link.protocol !== 'mqtt-sn'
}
