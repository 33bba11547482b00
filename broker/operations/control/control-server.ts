/**
 * The control socket: HTTP on a Unix domain socket in the data directory, for the command line. Only the user that runs
 * the broker can connect. A socket that a killed process left behind is replaced: who holds the data directory's lock owns
 * its socket.
 */
import { chmod } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { ControlError } from '../errors.ts'
import { closingController, type Route, routeListener } from './http.ts'
import { prepareSocketPath, removeSocket } from './socket-path.ts'

const CONNECTIONS_MAX = 32

export class ControlServer {
  readonly path: string
  readonly #server: Server
  readonly #dataDirectory: string
  readonly #closing: AbortController

  private constructor(server: Server, path: string, dataDirectory: string, closing: AbortController) {
    this.#server = server
    this.path = path
    this.#dataDirectory = dataDirectory
    this.#closing = closing
  }

  /** @throws ControlError */
  static async start(dataDirectory: string, routes: readonly Route[]): Promise<ControlServer> {
    const closing = closingController()
    const server = createServer(routeListener(routes, closing.signal))
    server.maxConnections = CONNECTIONS_MAX
    let path = dataDirectory
    try {
      path = await prepareSocketPath(dataDirectory)
      await listen(server, path)
      await chmod(path, 0o600)
    } catch (error) {
      server.close()
      throw new ControlError(`cannot open the control socket ${path}: ${(error as Error).message}`, error)
    }
    return new ControlServer(server, path, dataDirectory, closing)
  }

  /** Ends streams under way and removes the socket. */
  async close(): Promise<void> {
    this.#closing.abort()
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    this.#server.closeIdleConnections()
    // Streams end by themselves on the signal; a client that does not read is not waited for.
    const timer = setTimeout(() => this.#server.closeAllConnections(), 500)
    await closed
    clearTimeout(timer)
    await removeSocket(this.#dataDirectory)
  }
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, () => {
      server.off('error', reject)
      server.on('error', () => {})
      resolve()
    })
  })
}
