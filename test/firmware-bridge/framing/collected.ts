/** What a decoder tells, kept. */
import { type DropReason, FrameDecoder } from '../../../firmware-bridge/framing/frame-decoder.ts'
import { FrameEncoder } from '../../../firmware-bridge/framing/frame-encoder.ts'
import type { Random } from '../../support/random.ts'

export interface Collected {
  readonly decoder: FrameDecoder
  readonly messages: Buffer[]
  readonly dropped: DropReason[]
}

export function collecting(messageBytesMax = 128): Collected {
  const messages: Buffer[] = []
  const dropped: DropReason[] = []
  const decoder = new FrameDecoder(messageBytesMax, {
    onMessage: (message) => messages.push(Buffer.from(message)),
    onDropped: (reason) => dropped.push(reason),
  })
  return { decoder, messages, dropped }
}

export function framed(...messages: Uint8Array[]): Buffer {
  const encoder = new FrameEncoder(254)
  return Buffer.concat(messages.map((message) => Buffer.from(encoder.encode(message))))
}

/** A message whose length field is right, its other bytes of any kind; zeros are frequent. */
export function someMessage(random: Random, bytesMax = 128): Buffer {
  const message = Buffer.alloc(random.between(2, bytesMax))
  for (let i = 1; i < message.length; i++) message[i] = random.next() < 0.2 ? 0 : random.between(0, 255)
  // a forwarder's would carry another one
  if (message[1] === 0xfe) message[1] = 0
  message[0] = message.length
  return message
}
