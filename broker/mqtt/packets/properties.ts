/** Which properties MQTT 5 has, of which type, and in which packets of a client. Section 2.2.2.2, table 2-4. */

export const Property = {
  payloadFormat: 0x01,
  messageExpiry: 0x02,
  contentType: 0x03,
  responseTopic: 0x08,
  correlationData: 0x09,
  subscriptionIdentifier: 0x0b,
  sessionExpiry: 0x11,
  assignedClientId: 0x12,
  serverKeepAlive: 0x13,
  authenticationMethod: 0x15,
  authenticationData: 0x16,
  requestProblemInformation: 0x17,
  willDelay: 0x18,
  requestResponseInformation: 0x19,
  responseInformation: 0x1a,
  serverReference: 0x1c,
  reasonString: 0x1f,
  receiveMaximum: 0x21,
  topicAliasMaximum: 0x22,
  topicAlias: 0x23,
  maximumQos: 0x24,
  retainAvailable: 0x25,
  userProperty: 0x26,
  maximumPacketSize: 0x27,
  wildcardAvailable: 0x28,
  identifierAvailable: 0x29,
  sharedAvailable: 0x2a,
} as const

export type PropertyId = (typeof Property)[keyof typeof Property]

/** Where properties of a client stand. A bit each. */
export const PropertyPlace = {
  connect: 1,
  will: 2,
  publish: 4,
  acknowledgement: 8,
  subscribe: 16,
  unsubscribe: 32,
  disconnect: 64,
  auth: 128,
} as const

export const ValueType = {
  none: 0,
  byte: 1,
  u16: 2,
  u32: 3,
  variable: 4,
  binary: 5,
  text: 6,
  pair: 7,
} as const

/** All are below. */
export const PROPERTY_IDS = 0x2b
/** Of ValueType, by the id. */
export const PROPERTY_TYPES = new Uint8Array(PROPERTY_IDS)
/** Bits of PropertyPlace, by the id. */
export const PROPERTY_PLACES = new Uint8Array(PROPERTY_IDS)

/** `places`: where a client may send it. */
function define(
  id: PropertyId,
  type: keyof typeof ValueType,
  ...places: (keyof typeof PropertyPlace)[]
): void {
  PROPERTY_TYPES[id] = ValueType[type]
  for (const place of places) PROPERTY_PLACES[id] |= PropertyPlace[place]
}

define(Property.payloadFormat, 'byte', 'publish', 'will')
define(Property.messageExpiry, 'u32', 'publish', 'will')
define(Property.contentType, 'text', 'publish', 'will')
define(Property.responseTopic, 'text', 'publish', 'will')
define(Property.correlationData, 'binary', 'publish', 'will')
define(Property.subscriptionIdentifier, 'variable', 'subscribe')
define(Property.sessionExpiry, 'u32', 'connect', 'disconnect')
define(Property.assignedClientId, 'text')
define(Property.serverKeepAlive, 'u16')
define(Property.authenticationMethod, 'text', 'connect', 'auth')
define(Property.authenticationData, 'binary', 'connect', 'auth')
define(Property.requestProblemInformation, 'byte', 'connect')
define(Property.willDelay, 'u32', 'will')
define(Property.requestResponseInformation, 'byte', 'connect')
define(Property.responseInformation, 'text')
define(Property.serverReference, 'text', 'disconnect')
define(Property.reasonString, 'text', 'acknowledgement', 'disconnect', 'auth')
define(Property.receiveMaximum, 'u16', 'connect')
define(Property.topicAliasMaximum, 'u16', 'connect')
define(Property.topicAlias, 'u16', 'publish')
define(Property.maximumQos, 'byte')
define(Property.retainAvailable, 'byte')
define(
  Property.userProperty,
  'pair',
  'connect',
  'will',
  'publish',
  'acknowledgement',
  'subscribe',
  'unsubscribe',
  'disconnect',
  'auth',
)
define(Property.maximumPacketSize, 'u32', 'connect')
define(Property.wildcardAvailable, 'byte')
define(Property.identifierAvailable, 'byte')
define(Property.sharedAvailable, 'byte')

export const PROPERTY_NAMES: readonly string[] = Object.entries(Property).reduce<string[]>(
  (names, [name, id]) => {
    names[id] = name
    return names
  },
  [],
)
