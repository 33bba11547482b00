/** What an operator does with the `nats` command, by the client library, which is at hand. */

export type Streams = Awaited<ReturnType<typeof import('@nats-io/jetstream').jetstreamManager>>['streams']

export interface OperatorLogin {
  readonly user?: string
  readonly pass?: string
}

export async function withStreams(
  address: string,
  act: (streams: Streams) => Promise<unknown>,
  login: OperatorLogin = {},
): Promise<void> {
  const { connect } = await import('@nats-io/transport-node')
  const { jetstreamManager } = await import('@nats-io/jetstream')
  const connection = await connect({ servers: address, ...login })
  try {
    await act((await jetstreamManager(connection)).streams)
  } finally {
    await connection.close()
  }
}
