/**
 * A device that publishes: MQTT 3.1.1 over TCP with a session of its own, a bounded window, and a memory that outlives the broker's power
 * cuts, as a sensor's does. What was not acknowledged is sent again, in order and under its packet id, once it is connected again.
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import mqttPacket, { type Packet } from 'mqtt-packet'
import { Ledger } from './ledger.ts'
import { payloadOf } from './payload.ts'

export interface WriterPlan {
  readonly name: string
  readonly qos: 1 | 2
  /** Taken in turn; each is a key. */
  readonly topics: readonly string[]
  /** Messages under way at once. */
  readonly windowMax: number
  readonly seed: number
}

interface InFlight {
  readonly packetId: number
  readonly sequence: number
  /** sent: waits for PUBACK or PUBREC. released: waits for PUBCOMP. */
  state: 'sent' | 'released'
}

const PACKET_IDS = 65_535
const CONNECT_MS_MAX = 10_000

export class Writer {
  readonly ledger: Ledger
  readonly #plan: WriterPlan
  /** By packet id, in the order of their first sending. */
  readonly #inFlight = new Map<number, InFlight>()
  #next = 0
  #packetId = 0
  #socket: Socket | null = null
  #isPublishing = false

  constructor(plan: WriterPlan) {
    this.#plan = plan
    this.ledger = new Ledger(plan.name, plan.qos, plan.topics)
  }

  /** Connects, sends again what is open, and goes on with new messages until `cut`. */
  async start(port: number): Promise<void> {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true })
    this.#socket = socket
    // a connection that ends is what this is about
    socket.on('error', () => {})
    const parser = mqttPacket.parser()
    const accepted = new Promise<void>((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`${this.#plan.name}: no CONNACK in time`)),
        CONNECT_MS_MAX,
      )
      parser.on('packet', (packet: Packet) => {
        if (packet.cmd !== 'connack') {
          this.#received(socket, packet)
          return
        }
        clearTimeout(timer)
        if (packet.returnCode === 0) resolve()
        else reject(new Error(`${this.#plan.name}: refused with code ${packet.returnCode}`))
      })
      socket.once('close', () => {
        clearTimeout(timer)
        reject(new Error(`${this.#plan.name}: the connection ended before CONNACK`))
      })
    })
    socket.on('data', (chunk: Buffer) => parser.parse(chunk))
    socket.write(
      mqttPacket.generate({ cmd: 'connect', clientId: this.#plan.name, clean: false, keepalive: 0 }),
    )
    await accepted
    this.#isPublishing = true
    for (const message of this.#inFlight.values()) this.#send(socket, message, true)
    this.#fill(socket)
  }

  /** Ends the connection at once: acknowledgements that were on their way are not heard. */
  async cut(): Promise<void> {
    this.#isPublishing = false
    const socket = this.#socket
    this.#socket = null
    if (socket === null || socket.destroyed) return
    const closed = once(socket, 'close')
    socket.destroy()
    await closed
  }

  #fill(socket: Socket): void {
    while (this.#isPublishing && this.#inFlight.size < this.#plan.windowMax) {
      const message: InFlight = { packetId: this.#freeId(), sequence: this.#next++, state: 'sent' }
      this.#inFlight.set(message.packetId, message)
      this.#send(socket, message, false)
    }
  }

  #freeId(): number {
    do this.#packetId = (this.#packetId % PACKET_IDS) + 1
    while (this.#inFlight.has(this.#packetId))
    return this.#packetId
  }

  #send(socket: Socket, { packetId, sequence, state }: InFlight, isAgain: boolean): void {
    if (state === 'released') {
      socket.write(mqttPacket.generate({ cmd: 'pubrel', messageId: packetId }))
      return
    }
    const { ledger } = this
    ledger.sent(sequence)
    socket.write(
      mqttPacket.generate({
        cmd: 'publish',
        topic: ledger.topicOf(sequence),
        payload: payloadOf(this.#plan.name, sequence, this.#plan.seed),
        qos: this.#plan.qos,
        messageId: packetId,
        dup: isAgain,
        retain: false,
      }),
    )
  }

  #received(socket: Socket, packet: Packet): void {
    const message = this.#inFlight.get(packet.messageId ?? 0)
    if (message === undefined) return
    switch (packet.cmd) {
      case 'puback':
        this.ledger.acknowledge(message.sequence)
        this.#inFlight.delete(message.packetId)
        break
      case 'pubrec':
        this.ledger.acknowledge(message.sequence)
        message.state = 'released'
        this.#send(socket, message, false)
        break
      case 'pubcomp':
        this.#inFlight.delete(message.packetId)
        break
      default:
        break
    }
    this.#fill(socket)
  }
}
