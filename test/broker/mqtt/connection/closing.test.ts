import { expect, it } from 'vitest'
import { LogUnavailableError } from '../../../../broker/errors.ts'
import { kindOf } from '../../../../broker/mqtt/connection/closing.ts'
import { RefusedMessageError } from '../../../../broker/mqtt/connection/incoming.ts'
import { Reason, violation } from '../../../../broker/mqtt/packets/protocol-error.ts'

it('lines about one kind of fault are limited together, whatever topics a client names', () => {
  const refused = ['a', 'b'].map((topic) =>
    kindOf(new RefusedMessageError(Reason.notAuthorized, `may not publish to ${topic}`)),
  )
  expect(new Set(refused).size).toBe(1)
  expect(refused[0]).not.toBe(kindOf(new RefusedMessageError(Reason.quotaExceeded, 'the disk is full')))
  expect(kindOf(violation('MQTT-3.3.1-1', 'one'))).toBe(kindOf(violation('MQTT-3.3.1-1', 'two')))
  expect(kindOf(new LogUnavailableError('x'))).toBe('HW_LOG_UNAVAILABLE')
})
