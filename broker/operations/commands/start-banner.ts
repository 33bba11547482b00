/** What `start` prints once it runs: where everything is, and how to try it. */
import type { Config } from '../../config/schema.ts'
import type { BrokerStatus, MqttStatus } from '../operations.ts'
import type { Output } from '../terminal/output.ts'
import { printable } from '../terminal/printable.ts'
import { count, plural } from '../terminal/units.ts'
import type { ConfigOptions } from './context.ts'

const STREAMS_SHOWN_MAX = 20
/** Of the longest label. */
const LABEL_WIDTH = 'dashboard'.length

export interface BannerParts {
  readonly config: Config
  readonly file: string | null
  readonly status: BrokerStatus
  /** The address of the HTTP listener as it is bound; null: there is none. */
  readonly dashboard: string | null
  readonly demo: { readonly description: string } | null
  /** How the program was called, for the hints. */
  readonly options: ConfigOptions & { readonly program: string }
}

export function bannerLines(
  out: Output,
  { config, file, status, dashboard, demo, options }: BannerParts,
): string[] {
  const label = (text: string) => out.paint('dim', text.padEnd(LABEL_WIDTH))
  const headwater = (command: string) => `${options.program} ${command}${sameData(options)}`
  const stream = config.streams[0]!.name
  const lines = [
    `${out.paint('bold', `headwater ${status.version}`)}  edge ${status.edge}`,
    `${label('config')} ${file ?? `defaults, no file (${options.program} init writes one)`}`,
    `${label('data')} ${status.dataDirectory}`,
    `${label('mqtt')} ${status.mqtt.listeners.join(', ')}`,
    ...config.streams.slice(0, STREAMS_SHOWN_MAX).map(({ name, topics, partitions }, index) => {
      const filters = topics.length > 3 ? `${topics.slice(0, 3).join(', ')}, ...` : topics.join(', ')
      return `${label(index === 0 ? 'streams' : '')} ${name} <- ${printable(filters)} (${plural(partitions, 'partition')})`
    }),
    ...(config.streams.length > STREAMS_SHOWN_MAX
      ? [`${label('')} ${count(config.streams.length - STREAMS_SHOWN_MAX)} more`]
      : []),
    ...config.upstreams.map(({ name, kind, directory }, index) => {
      const where = typeof directory === 'string' ? ` in ${directory}` : ''
      return `${label(index === 0 ? 'upstreams' : '')} ${name} (${kind}${where})`
    }),
    ...(dashboard === null ? [] : [`${label('dashboard')} ${dashboardUrl(dashboard)}`]),
    ...(demo === null ? [] : [`${label('demo')} ${demo.description}`]),
    '',
    `${label('publish')} ${publishCommand(status.mqtt)}`,
    `${label('read')} ${headwater(`read ${stream} --follow`)}`,
    `${label('status')} ${headwater('status')}`,
    `${label('stop')} Ctrl-C`,
    '',
  ]
  return lines
}

/** For a browser: one that listens everywhere is called by this machine's own name for itself. */
function dashboardUrl(address: string): string {
  return `http://${address.replace(/^(0\.0\.0\.0|\[::\]|\*):/, 'localhost:')}`
}

/** The options that lead the other commands to the same data directory. */
function sameData({ config, data }: ConfigOptions): string {
  if (data !== undefined) return ` --data ${quoted(data)}`
  return config === undefined ? '' : ` --config ${quoted(config)}`
}

function quoted(text: string): string {
  return /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}

/** For a client on this machine; options that are a client's defaults are left out. */
function publishCommand({ listeners, needsLogin }: MqttStatus): string {
  const isPlain = (listener: string) => !listener.includes('://')
  const listener = listeners.find(isPlain) ?? listeners[0]!
  const [, protocol, address, port] = LISTENER.exec(listener)!
  const isHere = ['127.0.0.1', '0.0.0.0', '[::]', 'localhost'].includes(address!)
  const options = [
    ...(protocol === undefined ? [] : ['-C', protocol]),
    ...(isHere ? [] : ['-h', address!.replace(/^\[|\]$/g, '')]),
    ...(port === '1883' ? [] : ['-p', port!]),
    ...(protocol === 'mqtts' || protocol === 'wss' ? ['--ca', 'CA.crt'] : []),
    ...(needsLogin ? ['-u', 'USER', '-P', 'PASSWORD'] : []),
  ]
  const command = ['npx mqtt pub', ...options, '-q 1 -t plant/1/temperature -m 21.5'].join(' ')
  return isPlain(listener) ? `${command}   (or mosquitto_pub, same options)` : command
}

/** `host:port`, or `scheme://host:port/path`. */
const LISTENER = /^(?:(\w+):\/\/)?(.*):([0-9]+)(?:\/.*)?$/
