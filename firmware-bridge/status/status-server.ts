/** The report over HTTP: /metrics for Prometheus, /status as JSON for `headwater-bridge status`. */
import { createServer, type Server } from 'node:http'
import { formatListenAddress, type ListenAddress } from '../../broker/config/address.ts'
import { EXPOSITION_TYPE } from '../../broker/exposition.ts'
import { StatusAddressError } from '../errors.ts'
import { prometheusText } from './prometheus.ts'
import type { BridgeReport } from './report.ts'

const CONNECTIONS_MAX = 16
const REQUEST_MS_MAX = 5000
const HEADER_BYTES_MAX = 8192

export class StatusServer {
  readonly #server: Server

  private constructor(server: Server) {
    this.#server = server
  }

  /** @throws StatusAddressError */
  static async start(address: ListenAddress, report: () => BridgeReport): Promise<StatusServer> {
    const server = createServer(
      { maxHeaderSize: HEADER_BYTES_MAX, requestTimeout: REQUEST_MS_MAX },
      (request, response) => {
        // no URL: what a client asks for need not be one
        const [pathname] = (request.url ?? '/').split('?', 1)
        const isRead = request.method === 'GET' || request.method === 'HEAD'
        if (isRead && pathname === '/metrics')
          response.setHeader('content-type', EXPOSITION_TYPE).end(prometheusText(report()))
        else if (isRead && pathname === '/status') {
          response.setHeader('content-type', 'application/json').end(JSON.stringify(report()))
        } else
          response
            .writeHead(isRead ? 404 : 405, { 'content-type': 'text/plain' })
            .end('/metrics or /status\n')
      },
    )
    server.maxConnections = CONNECTIONS_MAX
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => reject(new StatusAddressError(formatListenAddress(address), error)))
      server.listen({ port: address.port, ...(address.host === null ? {} : { host: address.host }) }, resolve)
    })
    return new StatusServer(server)
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    this.#server.closeAllConnections()
    await closed
  }
}
