import type { SerialLinkConfig, UdpLinkConfig } from '../../../firmware-bridge/links/config.ts'

export function serialConfig(port: string, more: Partial<SerialLinkConfig> = {}): SerialLinkConfig {
  return {
    kind: 'serial',
    protocol: 'mqtt-sn',
    port,
    baudRate: 115_200,
    dataBits: 8,
    parity: 'none',
    stopBits: 1,
    rtscts: false,
    resetOnOpen: false,
    sendBufferBytesMax: 8192,
    messageBytesMax: 128,
    retryMs: 1000,
    ...more,
  }
}

export function udpConfig(address: string, more: Partial<UdpLinkConfig> = {}): UdpLinkConfig {
  return {
    kind: 'udp',
    address,
    allow: [],
    messageBytesMax: 128,
    receiveBufferBytes: 262_144,
    sendBufferBytesMax: 65_536,
    retryMs: 10_000,
    ...more,
  }
}
