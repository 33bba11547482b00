/** Where attacks take place: how they connect, wait, and know that it is over. */
import type { Random } from '../../support/random.ts'
import { type Link, TcpLink, WebSocketLink } from './link.ts'

const WEB_SOCKET_SHARE = 0.2
/** Attackers come from several addresses of this machine: a quota by address does not stop all of them at once. */
const ADDRESSES = ['127.0.0.11', '127.0.0.12', '127.0.0.13', '127.0.0.14']

export interface Field {
  readonly port: number
  readonly webSocketPort: number
  readonly tlsPort: number
  readonly isOver: () => boolean
}

export interface Attack {
  readonly name: string
  /** How often it comes, beside the others. */
  readonly weight: number
  run(random: Random, arena: Arena): Promise<void>
}

/** What one attack has open; all of it is closed at its end. */
export class Arena {
  readonly #field: Field
  readonly #random: Random
  readonly #links: Link[] = []

  constructor(field: Field, random: Random) {
    this.#field = field
    this.#random = random
  }

  get isOver(): boolean {
    return this.#field.isOver()
  }

  get webSocketPort(): number {
    return this.#field.webSocketPort
  }

  get tlsPort(): number {
    return this.#field.tlsPort
  }

  /** Over TCP or WebSocket. */
  link(): Link {
    if (this.#random.next() >= WEB_SOCKET_SHARE) return this.tcp()
    const link = new WebSocketLink(this.#field.webSocketPort)
    this.#links.push(link)
    return link
  }

  tcp(port = this.#field.port): TcpLink {
    const address = ADDRESSES[this.#random.between(0, ADDRESSES.length - 1)]!
    const link = new TcpLink(port, address)
    this.#links.push(link)
    return link
  }

  async pause(ms: number): Promise<void> {
    if (!this.isOver) await new Promise((resolve) => setTimeout(resolve, ms))
  }

  /** Politely or not. */
  close(): void {
    for (const link of this.#links.splice(0)) {
      if (this.#random.next() < 0.3) link.end()
      // after its goodbye
      setTimeout(() => link.destroy(), 200)
    }
  }
}
