/**
 * The Kafka that all test files share. It starts when the first test that needs it asks, so that a run of other
 * tests pays nothing. Test files run in worker processes; they ask over a loopback connection to this one.
 */
import { type AddressInfo, connect, createServer } from 'node:net'
import type { KafkaSource } from './choice.ts'

/** What the tests are told before they are collected; plain data, because it crosses processes. */
export interface SharedKafka {
  available: boolean
  /** host:port; it answers after `sharedKafkaStarted`. Empty when not available. */
  bootstrap: string
  /** Why it is not available. */
  reason: string
  /** Whether `startKafka` works here. */
  canStartOwn: boolean
  /** Why not. */
  ownReason: string
  /** Where to ask for the start. */
  starterPort: number
}

const READY = 'ready'

/** Serves the request to start `source`; `close` stops it if it was started. */
export async function serveStarter(source: KafkaSource): Promise<{ port: number; close(): Promise<void> }> {
  let started: Promise<() => Promise<void>> | undefined
  const server = createServer((socket) => {
    socket.on('error', () => {})
    started ??= source.start()
    started.then(
      () => socket.end(READY),
      (error: Error) => socket.end(error.message),
    )
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const close = async () => {
    server.close()
    const stop = await started?.catch(() => undefined)
    await stop?.()
  }
  return { port: (server.address() as AddressInfo).port, close }
}

/** In a test process: resolves when the shared Kafka answers, rejects with the reason when it cannot start. */
export function sharedKafkaStarted(shared: SharedKafka): Promise<void> {
  return new Promise((resolve, reject) => {
    let answer = ''
    const socket = connect(shared.starterPort, '127.0.0.1')
    socket.setEncoding('utf8')
    socket.on('data', (text: string) => {
      answer += text
    })
    socket.on('error', reject)
    socket.on('end', () => (answer === READY ? resolve() : reject(new Error(answer))))
  })
}
