/**
 * What carries MQTT-SN messages between the gateway and devices: a serial port, a UDP socket. A link knows frames and peers, nothing of
 * what a message says. It delivers whole messages that passed its checks, and counts all else by reason.
 */

/** Counted since the start; never reset. */
export interface LinkCounters {
  framesReceived: number
  framesSent: number
  bytesReceived: number
  bytesSent: number
  /** By reason: `crc`, `cobs`, `oversize`, `truncated`, `noise`, `unknown-peer`, `send-buffer-full`, `port-closed`, … */
  readonly dropped: Map<string, number>
}

export interface Link {
  /** For logs and metrics: `serial /dev/serial/by-id/usb-...`, `udp 0.0.0.0:1884`. */
  readonly name: string
  readonly kind: 'serial' | 'udp'
  /** Longest MQTT-SN message that it carries, either way. */
  readonly messageBytesMax: number
  /** How long a device may take to acknowledge before its message is repeated, ms; without it what the gateway has. */
  readonly retryMs?: number
  readonly counters: LinkCounters
  /** `null` while it carries; else what is wrong with it and the way out, in one line. */
  readonly trouble: string | null

  /** Resolves once it is being tried; a serial port that is not there yet is waited for. @throws BridgeError when it can never work */
  open(listener: LinkListener): Promise<void>
  /** @returns false when the message cannot go now: counted, and whoever sends repeats it */
  send(peer: string, message: Uint8Array): boolean
  /** To all peers of the link (ADVERTISE, GWINFO). @param radius of MQTT-SN, 0: no limit */
  broadcast(message: Uint8Array, radius: number): boolean
  close(): Promise<void>
}

export interface LinkListener {
  /** @param peer stable name of who sent it, such as `192.0.2.7:50000`; a serial port has the one peer `` @param bytes valid during the call only */
  onMessage(peer: string, bytes: Uint8Array): void
  /** The peer, or with null all peers of the link, cannot be reached any more: a port was unplugged. */
  onGone(peer: string | null, reason: string): void
}
