/** `npm run kafka`: a Kafka for a developer's trials, until Ctrl-C. Arguments: [port] [topic:partitions ...] */
import { startKafka } from './server.ts'
import { createTopic } from './topics.ts'

const [port, ...topics] = process.argv.slice(2)
const server = await startKafka({
  ...(port === undefined ? {} : { port: Number(port) }),
  // The one convenience that tests must not have: any client may create its topic by naming it.
  properties: { 'auto.create.topics.enable': 'true' },
})
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
