/** What a device publishes; the grammar is at the top of device/app.c. */
export interface Origin {
  readonly device: string
  readonly boot: number
  readonly number: number
}

/** @returns null where it is not, to its last byte, what a device made */
export function originOf(topic: string, payload: Buffer): Origin | null {
  const text = /^(\w+) (\d+) (\d+) /.exec(payload.toString('latin1'))
  if (text === null) return null
  const origin = { device: text[1]!, boot: Number(text[2]), number: Number(text[3]) }
  const padding = paddingOf(origin.number)
  if (!payload.subarray(text[0].length).equals(padding) || topic !== topicOf(origin)) return null
  return origin
}

export function payloadOf({ device, boot, number }: Origin): Buffer {
  return Buffer.concat([Buffer.from(`${device} ${boot} ${number} `), paddingOf(number)])
}

export function topicOf({ device, number }: Origin): string {
  return [`plant/${device}/even`, `plant/${device}/odd`, `${device[0]}/`][number % 3]!
}

/** What a device is sent. */
export function commandOf(number: number): Buffer {
  const head = Buffer.alloc(4)
  head.writeUInt32BE(number)
  return Buffer.concat([head, paddingOf(number)])
}

export const COMMANDS = 'cmd/'

function paddingOf(number: number): Buffer {
  return Buffer.from(Array.from({ length: (number * 7) % 60 }, (_, i) => (number * 31 + i * 17) & 0xff))
}
