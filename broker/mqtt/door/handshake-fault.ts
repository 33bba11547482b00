/** Why a TLS handshake failed, in words for whoever has to mend it: OpenSSL's own are of file names and numbers. */

/** By Node's codes of errors, which are made of OpenSSL's reasons. */
const FAULTS: Readonly<Record<string, string>> = {
  ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE: 'it gave no certificate, and clientCaFile asks for one',
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: "it does not know the authority of the broker's certificate",
  ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE: "it does not take the broker's certificate",
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN: "it does not take the broker's certificate",
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED: "the broker's certificate has expired, by the client's clock",
  ERR_SSL_WRONG_VERSION_NUMBER: 'it does not speak TLS',
  ERR_SSL_HTTP_REQUEST: 'it speaks HTTP without TLS',
  ERR_SSL_UNSUPPORTED_PROTOCOL: 'its version of TLS is too old',
  UNABLE_TO_GET_ISSUER_CERT: 'its certificate is of an authority that is not in clientCaFile',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its certificate is of an authority that is not in clientCaFile',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its certificate is of an authority that is not in clientCaFile',
  SELF_SIGNED_CERT_IN_CHAIN: 'its certificate is of an authority that is not in clientCaFile',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is its own authority, and is not in clientCaFile',
  CERT_HAS_EXPIRED: 'its certificate has expired',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet, by the clock of this machine',
  ECONNRESET: 'it ended the connection',
  ERR_TLS_HANDSHAKE_TIMEOUT: 'it took too long',
}

/** @param authorization what is wrong with the client's certificate, where Node ended the connection for it: the error then says that it ended */
export function handshakeFault(error: Error, authorization?: unknown): string {
  const { code, reason } = error as Error & { readonly code?: string; readonly reason?: string }
  if (typeof authorization === 'string') return FAULTS[authorization] ?? authorization
  return (code === undefined ? undefined : FAULTS[code]) ?? reason ?? error.message
}
