/**
 * The client library, and what it leaves behind mended: when a server takes the connection and then says nothing, or stalls in the
 * TLS handshake, it gives up and keeps the socket, one for every try. The package is pinned to one version, whose files do
 * not move.
 */
import {
  type ConnectionOptions,
  type NatsConnection,
  NatsConnectionImpl,
  setTransportFactory,
} from '@nats-io/transport-node'
import { NodeTransport, nodeResolveHost } from '@nats-io/transport-node/lib/node_transport.js'

class Transport extends NodeTransport {
  override async connect(...[server, options]: Parameters<NodeTransport['connect']>): Promise<void> {
    const timer = setTimeout(() => this.discard(), options.timeout)
    try {
      await super.connect(server, options)
    } finally {
      clearTimeout(timer)
    }
  }
}

/** @param options with a `timeout` for each server, in ms */
export function connect(options: ConnectionOptions & { timeout: number }): Promise<NatsConnection> {
  setTransportFactory({ factory: () => new Transport(), dnsResolveFn: nodeResolveHost })
  return NatsConnectionImpl.connect(options)
}
