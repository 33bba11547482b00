/** What entries of `links` that publish by themselves have in common: text lines and Modbus. */
import { Type } from '@sinclair/typebox'

/** @param clientId one to show, another for each kind of link */
export const outlet = (clientId: string) => ({
  clientId: Type.Optional(
    Type.String({
      description:
        'The MQTT client id under which this link publishes. Without it bridge- and the name of the port.',
      pattern: '^[A-Za-z0-9._:-]{1,64}$',
      shape: '1 to 64 letters, digits, ".", "_", ":" or "-"',
      examples: [clientId],
    }),
  ),
  queueMessagesMax: Type.Integer({
    description: 'Messages that wait in memory while the broker is away; then the oldest go, counted.',
    minimum: 1,
    maximum: 1_000_000,
    default: 1000,
  }),
  queueBytesMax: Type.Integer({
    description: 'Bytes that wait in memory, topics included.',
    minimum: 1024,
    maximum: 1_073_741_824,
    default: 1_048_576,
  }),
})
