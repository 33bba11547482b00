/** Between a client and a broker: reads the MQTT packets that go by, and breaks the connection where a test says. */
import { createServer, connect as dial, type Server, type Socket } from 'node:net'
import { generate, type Packet, parser } from 'mqtt-packet'

export type Verdict = 'pass' | 'drop' | 'cut'
export type Watch = (packet: Packet, isUp: boolean) => Verdict

export class MqttProxy {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  /** `isUp`: to the broker. `drop`: this packet and the connection's later ones go nowhere. `cut`: and the connection ends. */
  watch: Watch = () => 'pass'
  #brokerPort: number

  private constructor(server: Server, brokerPort: number) {
    this.#server = server
    this.#brokerPort = brokerPort
  }

  static async start(brokerPort: number): Promise<MqttProxy> {
    const server = createServer((client) => proxy.#join(client))
    const proxy = new MqttProxy(server, brokerPort)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return proxy
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port
  }

  #join(client: Socket): void {
    const broker = dial({ port: this.#brokerPort, host: '127.0.0.1' })
    let version = 5
    let isCut = false
    const end = () => {
      client.destroy()
      broker.destroy()
    }
    const pump = (from: Socket, to: Socket, isUp: boolean) => {
      this.#sockets.add(from)
      const packets = parser({ protocolVersion: 5 } as never)
      packets.on('packet', (packet: Packet) => {
        if (packet.cmd === 'connect') version = packet.protocolVersion ?? 4
        if (isCut) return
        const verdict = this.watch(packet, isUp)
        if (verdict === 'pass') to.write(generate(packet, { protocolVersion: version } as never))
        else isCut = true
        if (verdict === 'cut') end()
      })
      from.on('data', (chunk) => packets.parse(chunk as Buffer))
      from.on('error', end)
      from.on('close', () => {
        this.#sockets.delete(from)
        end()
      })
    }
    pump(client, broker, true)
    pump(broker, client, false)
  }

  /** All connections break; later ones are made. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  async close(): Promise<void> {
    this.cut()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}
