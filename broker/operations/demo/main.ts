/** The demo's own process: sensors on one side, a real MQTT client on the other. Ends with the broker that started it. */
import { once } from 'node:events'
import { hostname } from 'node:os'
import { connect } from 'mqtt'
import { hostSensors } from './host.ts'
import { Publisher } from './publisher.ts'
import { simulatedSensors } from './simulated.ts'

/** The first readings are spread over this time. */
const SPREAD_MS = 1000

const [address, seedText] = process.argv.slice(2)
if (address === undefined || seedText === undefined || process.send === undefined) {
  process.stderr.write('headwater: the demo is started by `headwater start --demo`\n')
  process.exit(2)
}

const [login] = (await once(process, 'message')) as [{ username: string; password: string }]
const client = connect(`mqtt://${address}`, {
  clientId: `headwater-demo-${process.pid}`,
  clean: true,
  ...login,
  reconnectPeriod: 1000,
})
// It connects again by itself; an unheard error event would end the process.
client.on('error', () => {})

const publisher = new Publisher(client)
publisher.start([...hostSensors(hostname()), ...simulatedSensors(Number(seedText))], SPREAD_MS)

// The channel closes however the broker ends, SIGKILL included.
process.on('disconnect', () => {
  publisher.stop()
  client.end(true)
  process.exit(0)
})
// Ctrl-C reaches the whole process group; the broker decides when the demo ends.
process.on('SIGINT', () => {})
