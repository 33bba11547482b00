/** Why this device and the other side do not take each other. */
import { UpstreamError } from './upstream-errors.ts'

/** Retried slowly rather than stopped: credentials are mended on the cluster's side or in a secret file. */
export class UpstreamAuthError extends UpstreamError {
  constructor(
    address: string,
    reason: string,
    cause?: unknown,
    hint = 'check sasl.mechanism, sasl.username and the password file, and that the user exists on the cluster',
  ) {
    super('HW_UPSTREAM_AUTH', `${address} refused this edge: ${reason}`, {
      hint,
      retryable: true,
      slow: true,
      cause,
    })
  }
}

/** No encrypted connection, by the other side's certificate or because one of both sides does not speak TLS. */
export class UpstreamTlsError extends UpstreamError {
  constructor(
    address: string,
    reason: string,
    cause?: unknown,
    hint = "check tls.caFile, the certificate's names (tls.serverName), and the clock of this device",
  ) {
    super('HW_UPSTREAM_TLS', `no TLS connection to ${address}: ${reason}`, {
      hint,
      retryable: true,
      slow: true,
      cause,
    })
  }
}

/** The other side wants a certificate of this device, and does not take the one it has, or there is none. */
export class UpstreamCertificateError extends UpstreamError {
  constructor(address: string, reason: string, hint: string, cause?: unknown) {
    super('HW_UPSTREAM_CERTIFICATE', `${address} does not take this device's certificate: ${reason}`, {
      hint,
      retryable: true,
      slow: true,
      cause,
    })
  }
}

/** A certificate seems not to be valid yet, and it is this device's clock that is wrong, not the certificate. */
export class UpstreamClockError extends UpstreamError {
  constructor(address: string, reason: string, cause?: unknown) {
    super('HW_UPSTREAM_CLOCK', `no TLS connection to ${address}: this device's clock is wrong: ${reason}`, {
      hint: 'sync goes on by itself once the time is synchronized; see `headwater status`, and whether a time service runs and reaches its servers',
      retryable: true,
      slow: true,
      cause,
    })
  }
}

/** No access token: the token endpoint refuses this client, or cannot be reached. */
export class UpstreamTokenError extends UpstreamError {
  constructor(endpoint: string, reason: string, hint: string, cause?: unknown) {
    super('HW_UPSTREAM_TOKEN', `no token from ${endpoint}: ${reason}`, {
      hint,
      retryable: true,
      slow: true,
      cause,
    })
  }
}

/** A secret cannot be read from where the configuration says it is. */
export class UpstreamSecretError extends UpstreamError {
  constructor(
    field: string,
    reason: string,
    cause?: unknown,
    hint = 'put the secret there, readable by the user that runs headwater',
  ) {
    super('HW_UPSTREAM_SECRET', `${field}: ${reason}`, {
      hint,
      retryable: true,
      slow: true,
      cause,
    })
  }
}
