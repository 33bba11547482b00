/**
 * What attackers talk to in place of the broker, so that their own cost is seen: it takes bytes as slowly as the broker's quotas would, and says
 * something to each chunk. A process of its own, at the attackers' priority.
 */
import { createServer, type Server, type Socket } from 'node:net'
import { WebSocketServer } from 'ws'

export interface SinkJob {
  /** Of one connection. */
  readonly bytesPerSecond: number
}

export interface SinkPorts {
  readonly port: number
  readonly webSocketPort: number
  readonly tlsPort: number
}

/** A CONNACK of MQTT 3.1.1. */
const ANSWER = Buffer.from([0x20, 2, 0, 0])

process.on('message', async ({ bytesPerSecond }: SinkJob) => {
  const servers = [
    createServer((socket) => take(socket, bytesPerSecond)),
    createServer((socket) => take(socket, bytesPerSecond)),
  ]
  const [port, tlsPort] = await Promise.all(servers.map(listening))
  const webSockets = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false })
  webSockets.on('connection', (socket) => {
    socket.on('error', () => {})
    socket.on('message', () => socket.send(ANSWER))
  })
  await new Promise((resolve) => webSockets.once('listening', resolve))
  const { port: webSocketPort } = webSockets.address() as { port: number }
  process.send?.({ port, webSocketPort, tlsPort } as SinkPorts)
})
process.on('disconnect', () => process.exit())

function take(socket: Socket, bytesPerSecond: number): void {
  socket.on('error', () => {})
  socket.on('data', (chunk) => {
    if (socket.writableLength < ANSWER.length) socket.write(ANSWER)
    socket.pause()
    setTimeout(() => socket.resume(), (chunk.length / bytesPerSecond) * 1000)
  })
}

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as { port: number }).port
}
