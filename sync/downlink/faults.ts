/** What is wrong with a downlink's configuration that its schema lets through. */
import type { DownlinkConfig } from '../config/downlink.ts'
import type { UpstreamConfig } from '../config.ts'
import { upstreamFaults } from '../create.ts'
import { templateFault } from './topic-template.ts'

export interface DownlinkFault {
  /** Below the entry. */
  readonly path: readonly string[]
  readonly message: string
  readonly hint: string
}

/** @param upstreams all that are configured */
export function downlinkFaults(
  config: DownlinkConfig,
  upstreams: readonly { readonly name: string; readonly kind: string }[],
): DownlinkFault[] {
  const faults = [...clusterFaults(config, upstreams)]
  if (!/^[a-zA-Z0-9._-]{1,249}$/.test(config.topic.replaceAll('{edge}', 'e'))) {
    const hint = 'use letters, digits, ".", "_" and "-"; {edge} stands for the name of this edge'
    faults.push({ path: ['topic'], message: `"${config.topic}" is no name of a Kafka topic`, hint })
  }
  if (config.backoff.firstMs > config.backoff.msMax) {
    faults.push({ path: ['backoff'], message: 'firstMs is more than msMax', hint: 'raise backoff.msMax' })
  }
  const fault = templateFault(config.mqttTopic, config.filter.keyPrefixes.length > 0)
  if (fault !== null) {
    const hint =
      'write a topic with {key}, {rest}, {header:NAME}, {edge} or {partition} in it, such as commands/{key}'
    faults.push({ path: ['mqttTopic'], message: `"${config.mqttTopic}": ${fault}`, hint })
  }
  return faults
}

function clusterFaults(
  config: DownlinkConfig,
  upstreams: readonly { readonly name: string; readonly kind: string }[],
): DownlinkFault[] {
  const { upstream, connection } = config
  if ((upstream === undefined) === (connection === undefined)) {
    const message = upstream === undefined ? 'it has no cluster' : 'it has two clusters'
    const hint = 'give one of upstream and connection'
    return [{ path: upstream === undefined ? [] : ['connection'], message, hint }]
  }
  if (connection !== undefined) {
    const { name, backoff } = config
    const asUpstream = { ...connection, name, kind: 'kafka', backoff } as UpstreamConfig
    return upstreamFaults(asUpstream)
      .filter(({ path }) => path[0] !== 'backoff')
      .map((fault) => ({ ...fault, path: ['connection', ...fault.path] }))
  }
  const kafka = upstreams.filter(({ kind }) => kind === 'kafka').map(({ name }) => name)
  if (kafka.includes(upstream!)) return []
  const message = `there is no upstream "${upstream}" of kind kafka`
  const hint = kafka.length === 0 ? 'give it a connection of its own' : `there are: ${kafka.join(', ')}`
  return [{ path: ['upstream'], message, hint }]
}
