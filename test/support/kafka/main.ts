/**
 * `npm run kafka -- [port] [topic:partitions ...]`: a Kafka for a developer's trials, until Ctrl-C. Without a port
 * it takes a free one. Clients may create topics by naming them, which tests must not.
 */
import { NoInstallationError } from './installation.ts'
import { type KafkaServer, startKafka } from './server.ts'
import { createTopic } from './topics.ts'

const [port, ...topics] = process.argv.slice(2)
const server = await start(port === undefined ? undefined : Number(port))
for (const topic of topics) {
  const [name = '', partitions = '1'] = topic.split(':')
  await createTopic(server.bootstrap, name, Number(partitions))
}
const stop = () => void server.stop().then(() => process.exit(0))
process.once('SIGINT', stop)
process.once('SIGTERM', stop)
process.stdout.write(
  `Apache Kafka on ${server.bootstrap}, pid ${server.pid}. Ctrl-C stops it and deletes its data.\n`,
)
// The broker's process does not keep this one alive.
setInterval(() => {}, 1 << 30)

async function start(port: number | undefined): Promise<KafkaServer> {
  const properties = { 'auto.create.topics.enable': 'true' }
  try {
    return await startKafka(port === undefined ? { properties } : { properties, port })
  } catch (error) {
    if (!(error instanceof NoInstallationError)) throw error
    process.stderr.write(`${error.message}\n`)
    process.exit(1)
  }
}
