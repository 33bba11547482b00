/** Errors of the firmware bridge: a class per stable code, documented in docs/errors.md. */
import { HeadwaterError } from '../broker/errors.ts'

export class BridgeError extends HeadwaterError {}

/** No connection to the MQTT broker: refused, no such name, no answer. */
export class BrokerUnreachableError extends BridgeError {
  constructor(broker: string, reason: string, cause?: unknown) {
    super('HW_BRIDGE_BROKER_UNREACHABLE', `cannot reach the MQTT broker ${broker}: ${reason}`, {
      hint: 'check broker.url and that the broker runs; the bridge tries again by itself',
      retryable: true,
      cause,
    })
  }
}

/** The MQTT broker does not take a client: its user, its client id, its rights. */
export class BrokerRefusedError extends BridgeError {
  constructor(clientId: string, reason: string, hint: string, cause?: unknown) {
    super('HW_BRIDGE_BROKER_REFUSED', `the MQTT broker refuses client "${clientId}": ${reason}`, {
      hint,
      cause,
    })
  }
}

/** A file that the connection to the broker needs cannot be used: a password's, a certificate's, a key's. */
export class BridgeSecretError extends BridgeError {
  constructor(file: string, reason: string, cause?: unknown) {
    super('HW_BRIDGE_SECRET', `${file}: ${reason}`, {
      hint: 'put the file there, readable for the user that runs the bridge',
      cause,
    })
  }
}

/** Another bridge uses the data directory. */
export class BridgeLockedError extends BridgeError {
  constructor(directory: string, cause?: unknown) {
    super('HW_BRIDGE_LOCKED', `another bridge uses the data directory ${directory}`, {
      hint: 'stop it, or give this one its own directory with --data',
      cause,
    })
  }
}

/** The data directory of the bridge cannot be used. */
export class BridgeDataError extends BridgeError {
  constructor(directory: string, reason: string, hint: string, cause?: unknown) {
    super('HW_BRIDGE_DATA', `data directory ${directory}: ${reason}`, { hint, cause })
  }
}

/** A session was ended, here or by the broker, while something was asked of it. */
export class SessionEndedError extends BridgeError {
  constructor(clientId: string, reason: string) {
    super('HW_BRIDGE_SESSION_ENDED', `the MQTT session of "${clientId}" has ended: ${reason}`, {
      hint: 'the device connects anew',
      retryable: true,
    })
  }
}

/** The address for metrics and status cannot be listened on. */
export class StatusAddressError extends BridgeError {
  constructor(address: string, cause: NodeJS.ErrnoException) {
    const reason = cause.code === 'EADDRINUSE' ? 'the port is in use' : cause.message
    super('HW_BRIDGE_STATUS_ADDRESS', `cannot listen on ${address} for metrics and status: ${reason}`, {
      hint: 'stop what uses it, another bridge perhaps, or set another status.address',
      cause,
    })
  }
}

/** The command needs a running bridge and there is none. */
export class BridgeNotRunningError extends BridgeError {
  constructor(address: string, cause?: unknown) {
    super('HW_BRIDGE_NOT_RUNNING', `no bridge answers on ${address}`, {
      hint: 'start it with `headwater-bridge start`, or name its configuration with --config',
      cause,
    })
  }
}
