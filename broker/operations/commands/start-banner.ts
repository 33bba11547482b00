/** What `start` prints once it runs: where everything is, and how to try it. */
import type { Config } from '../../config/schema.ts'
import type { BrokerStatus } from '../operations.ts'
import type { Output } from '../terminal/output.ts'
import { printable } from '../terminal/printable.ts'
import type { ConfigOptions } from './context.ts'

export interface BannerParts {
  readonly config: Config
  readonly file: string | null
  readonly status: BrokerStatus
  readonly demo: { readonly description: string } | null
  /** How the program was called, for the hints. */
  readonly options: ConfigOptions & { readonly program: string }
}

export function bannerLines(out: Output, { config, file, status, demo, options }: BannerParts): string[] {
  const label = (text: string) => out.paint('dim', text.padEnd(9))
  const headwater = (command: string) => `${options.program} ${command}${sameData(options)}`
  const stream = config.streams[0]!.name
  const { host, port } = publishTo(status.mqtt.listeners[0]!)
  const lines = [
    `${out.paint('bold', `headwater ${status.version}`)}  edge ${status.edge}`,
    `${label('config')} ${file ?? `defaults, no file (${options.program} init writes one)`}`,
    `${label('data')} ${status.dataDirectory}`,
    `${label('mqtt')} ${status.mqtt.listeners.join(', ')}`,
    ...config.streams.map(({ name, topics, partitions }, index) => {
      const filters = topics.length > 3 ? `${topics.slice(0, 3).join(', ')}, ...` : topics.join(', ')
      return `${label(index === 0 ? 'streams' : '')} ${name} <- ${printable(filters)} (${partitions} partitions)`
    }),
    ...config.upstreams.map(({ name, kind, directory }, index) => {
      const where = typeof directory === 'string' ? ` in ${directory}` : ''
      return `${label(index === 0 ? 'upstreams' : '')} ${name} (${kind}${where})`
    }),
    ...(demo === null ? [] : [`${label('demo')} ${demo.description}`]),
    '',
    `${label('publish')} npx mqtt pub ${host}${port}-q 1 -t plant/1/temperature -m 21.5   (or mosquitto_pub, same options)`,
    `${label('read')} ${headwater(`read ${stream} --follow`)}`,
    `${label('status')} ${headwater('status')}`,
    `${label('stop')} Ctrl-C`,
    '',
  ]
  return lines
}

/** The options that lead the other commands to the same data directory. */
function sameData({ config, data }: ConfigOptions): string {
  if (data !== undefined) return ` --data ${quoted(data)}`
  return config === undefined ? '' : ` --config ${quoted(config)}`
}

function quoted(text: string): string {
  return /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}

/** Options for a client on this machine; those that are a client's defaults are left out. */
function publishTo(listener: string): { host: string; port: string } {
  const colon = listener.lastIndexOf(':')
  const address = listener.slice(0, colon).replace(/^\[|\]$/g, '')
  const port = listener.slice(colon + 1)
  const isHere = ['127.0.0.1', '0.0.0.0', '::', 'localhost'].includes(address)
  return { host: isHere ? '' : `-h ${address} `, port: port === '1883' ? '' : `-p ${port} ` }
}
