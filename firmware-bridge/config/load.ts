/** Reads the bridge's configuration, by the same reader as the broker's, and says what is wrong with it beyond the schema. */
import { parseListenAddress } from '../../broker/config/address.ts'
import {
  type ConfiguredProgram,
  type Fault,
  type FileOptions,
  type Loaded,
  loadFile,
  type RefusedConfig,
} from '../../broker/config/load-file.ts'
import { topicFilterFault } from '../../broker/config/topic-filter.ts'
import { bodyFaults } from '../bodies/rules.ts'
import { predefinedFault } from '../gateway/predefined-topics.ts'
import { lineLinkFaults } from '../lines/rules.ts'
import { udpLinkFaults } from '../links/rules.ts'
import { modbusLinkFaults } from '../modbus/rules.ts'
import { bridgeClientId, isOutlet, outletClientId } from './client-ids.ts'
import type { EntryFault } from './entry-fault.ts'
import { type BridgeConfig, BridgeSchema, type LinkConfig } from './schema.ts'

export const BRIDGE_PROGRAM: ConfiguredProgram = {
  command: 'headwater-bridge',
  files: ['headwater-bridge.yaml', '/etc/headwater/headwater-bridge.yaml'],
  fileVariable: 'HEADWATER_BRIDGE_CONFIG',
  names: {
    prefix: 'HEADWATER_BRIDGE_',
    others: ['HEADWATER_BRIDGE_CONFIG'],
    otherFamilies: null,
  },
  // in the order of their versions; none yet: no key that was ever released has been renamed
  migrations: [],
}

export type LoadedBridgeConfig = Loaded<BridgeConfig>

export function loadBridgeConfig(options: FileOptions): LoadedBridgeConfig | RefusedConfig {
  const rules = { faults, warnings }
  return loadFile<BridgeConfig>(BRIDGE_PROGRAM, BridgeSchema, rules, options)
}

function faults(config: BridgeConfig): Fault[] {
  return [
    ...brokerFaults(config),
    ...topicFaults(config),
    ...linkFaults(config),
    ...bodiesFaults(config),
    ...statusFaults(config),
  ]
}

function brokerFaults({ broker }: BridgeConfig): Fault[] {
  const found: Fault[] = []
  const { tls, url } = broker
  if ((tls.certFile === undefined) !== (tls.keyFile === undefined)) {
    const message = 'broker.tls has a certificate without its key, or a key without its certificate'
    found.push({ path: ['broker', 'tls'], message, hint: 'give both certFile and keyFile, or neither' })
  }
  if (!URL.canParse(url)) {
    const hint = 'it is mqtt://host:port, with a port from 1 to 65535'
    found.push({ path: ['broker', 'url'], message: `broker.url "${url}" is no address`, hint })
  }
  const isPlain = url.startsWith('mqtt://')
  if (isPlain && Object.values(tls).some((file) => file !== undefined)) {
    const hint = 'write mqtts:// for an encrypted connection, or remove broker.tls'
    found.push({ path: ['broker', 'url'], message: 'broker.tls has no effect on mqtt://', hint })
  }
  if (broker.passwordFile !== undefined && broker.user === undefined) {
    found.push({
      path: ['broker', 'passwordFile'],
      message: 'there is a password and no user',
      hint: 'add broker.user',
    })
  }
  return found
}

function topicFaults({ topics }: BridgeConfig): Fault[] {
  const found: Fault[] = []
  for (const [id, topic] of Object.entries(topics.predefined)) {
    const fault = predefinedFault(id, topic)
    if (fault !== null) {
      found.push({
        path: ['topics', 'predefined', id],
        message: `predefined topic ${id}: ${fault}`,
        hint: 'choose another',
      })
    }
  }
  for (const [index, filter] of topics.priority.entries()) {
    const fault = topicFilterFault(filter)
    if (fault !== null) {
      found.push({
        path: ['topics', 'priority', index],
        message: `"${filter}" is no topic filter: ${fault}`,
        hint: 'mend it',
      })
    }
  }
  return found
}

/** Two links on one port would take each other's bytes. */
function linkFaults(config: BridgeConfig): Fault[] {
  const { links } = config
  const found: Fault[] = []
  const seen = new Map<string, number>()
  for (const [index, link] of links.entries()) {
    const [key, place] = placeOf(link)
    const first = seen.get(place)
    if (first === undefined) seen.set(place, index)
    else {
      const message = `links[${first}] has ${place} already`
      found.push({ path: ['links', index, key], message, hint: 'a port belongs to one link' })
    }
    found.push(...entryFaults(link).map((fault) => ({ ...fault, path: ['links', index, ...fault.path] })))
  }
  return [...found, ...clientIdFaults(config)]
}

/** Two sessions of one client id end each other for ever. */
function clientIdFaults(config: BridgeConfig): Fault[] {
  const found: Fault[] = []
  const users = new Map([[bridgeClientId(config), 'the bridge itself']])
  for (const [index, link] of config.links.entries()) {
    if (!isOutlet(link)) continue
    const clientId = outletClientId(link)
    const user = users.get(clientId)
    if (user === undefined) users.set(clientId, `links[${index}]`)
    else {
      const message = `${user} publishes as "${clientId}", too`
      found.push({ path: ['links', index, 'clientId'], message, hint: 'name another clientId' })
    }
  }
  return found
}

/** What each kind of link has to say about its own entry. */
function entryFaults(link: LinkConfig): EntryFault[] {
  if (link.kind === 'udp') return udpLinkFaults(link)
  switch (link.protocol) {
    case 'line':
      return lineLinkFaults(link)
    case 'modbus':
      return modbusLinkFaults(link)
    case 'mqtt-sn':
      return []
  }
}

function bodiesFaults({ devices }: BridgeConfig): Fault[] {
  return devices.bodies.flatMap((body, index) =>
    bodyFaults(body).map((fault) => ({ ...fault, path: ['devices', 'bodies', index, ...fault.path] })),
  )
}

function placeOf(link: LinkConfig): [key: string, place: string] {
  return link.kind === 'serial' ? ['port', link.port] : ['address', link.address]
}

function statusFaults({ status }: BridgeConfig): Fault[] {
  const parsed = parseListenAddress(status.address)
  if (typeof parsed !== 'string') return []
  const message = `"${status.address}" is no address: ${parsed}`
  return [{ path: ['status', 'address'], message, hint: 'write it as 127.0.0.1:9465' }]
}

function warnings({ links }: BridgeConfig): string[] {
  return links.length === 0 ? ['there are no links: no device can reach the bridge'] : []
}
