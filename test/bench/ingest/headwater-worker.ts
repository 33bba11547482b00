/** The broker alone, where there is no command line to start it. Argument: the configuration file. */
import { Broker } from '../../../broker/broker.ts'
import { loadConfig } from '../../../broker/config/load.ts'

const loaded = loadConfig({ file: process.argv[2], env: {} })
if (!loaded.ok) throw loaded.problems[0]
const broker = await Broker.start(loaded.config)
process.once('SIGTERM', () => void broker.close().then(() => process.exit()))
