/**
 * One MQTT-SN message on a serial line. On the wire: never change.
 *
 *   stream  := (0x00 frame? 0x00)*                  two delimiters in a row, or more, are as one
 *   frame   := COBS(message crc)                    no zero in it (cobs.ts)
 *   message := an MQTT-SN 1.2 message               2 to messageBytesMax bytes; its own length field says the same length
 *   crc     := CRC-16/CCITT-FALSE of the message    2 bytes, high one first (crc16.ts)
 *
 * The delimiter before a frame ends whatever noise came before it; the one behind it lets the frame be used at once.
 *
 * Example: PINGREQ without a client id, 02 16.
 *
 *   message          02 16
 *   crc              09 9A
 *   COBS             05 02 16 09 9A
 *   on the wire      00 05 02 16 09 9A 00
 *
 * messageBytesMax is at most 254. COBS adds one byte up to 252, two above.
 */
import { cobsBytesMax } from './cobs.ts'

export const DELIMITER = 0x00
export const CRC_BYTES = 2
/** Length and type. */
export const MESSAGE_BYTES_MIN = 2
export const MESSAGE_BYTES_LIMIT = 254

/** Bytes between two delimiters, at most. */
export function frameBytesMax(messageBytesMax: number): number {
  return cobsBytesMax(messageBytesMax + CRC_BYTES)
}
