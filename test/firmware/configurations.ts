/** What bridge and broker of a run are configured with. */

export interface BridgeSetup {
  readonly brokerPort: number
  readonly statusPort: number
  readonly ports: readonly string[]
}

export function bridgeConfiguration({ brokerPort, statusPort, ports }: BridgeSetup): string {
  const links = ports.map(
    (port) => `  - { kind: serial, port: ${port}, baudRate: 115200, protocol: mqtt-sn, retryMs: 250 }\n`,
  )
  return `
data: ./bridge-data
broker: { url: "mqtt://127.0.0.1:${brokerPort}" }
status: { address: "127.0.0.1:${statusPort}", topicPrefix: "" }
links:
${links.join('')}`
}

export const STREAM = 'events'

/** One partition, so that the order of all of a device's messages can be judged, whatever their topics. */
export function brokerConfiguration(port: number): string {
  return `
edge: firmware-test
data: ./data
mqtt:
  listeners: [{ address: "127.0.0.1:${port}" }]
streams:
  - { name: ${STREAM}, topics: ["#"], key: topic, partitions: 1 }
`
}
