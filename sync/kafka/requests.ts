/**
 * Requests on connections, and what their answers mean: whoever speaks a part of Kafka's protocol asks with this. Any broker that can
 * be reached, or one; through the library's own codecs, or with a body as it is.
 */
import type { Connection } from '@platformatic/kafka'
import type { Connections, Link } from './connections.ts'
import type { Library } from './library.ts'
import { type BrokerNode, WireAnswerError, WireConnectionError } from './wire.ts'

export interface Api<Args extends unknown[], Response> {
  async(connection: Connection, ...args: Args): Promise<Response>
}

export interface Address {
  readonly host: string
  readonly port: number
}

export class Requests {
  readonly codecs: Library
  readonly #connections: Connections
  readonly #bootstrap: readonly Address[]
  /** Brokers that the cluster named: asked when no configured one answers. */
  known: readonly BrokerNode[] = []

  constructor(codecs: Library, connections: Connections, bootstrap: readonly Address[]) {
    this.codecs = codecs
    this.#connections = connections
    this.#bootstrap = bootstrap
  }

  /** The first broker that can be reached answers: the configured ones, then those that the cluster named. */
  async askAny<Args extends unknown[], Response>(api: Api<Args, Response>, ...args: Args): Promise<Response> {
    const configured = this.#bootstrap.map(({ host, port }) => ({ id: -1, host, port }))
    let first: unknown
    for (const node of [...configured, ...this.known]) {
      try {
        return await this.ask(node, api, ...args)
      } catch (error) {
        if (!(error instanceof WireConnectionError)) throw error
        first ??= error
      }
    }
    throw first
  }

  async ask<Args extends unknown[], Response>(
    node: BrokerNode,
    api: Api<Args, Response>,
    ...args: Args
  ): Promise<Response> {
    const { connection } = await this.#link(node)
    try {
      return await api.async(connection, ...args)
    } catch (error) {
      // The library throws when any part of an answer is an error; the answer says which.
      const { response } = error as { response?: Response }
      if (response !== undefined) return response
      throw await this.#connections.explain(`${node.host}:${node.port}`, error)
    }
  }

  #link(node: Address): Promise<Link> {
    return this.#connections.get(node.host, node.port)
  }

  /** A request's body, uncopied. @param parse what its answer's body says */
  async exchange<T>(
    node: Address,
    apiKey: number,
    apiVersion: number,
    body: readonly Buffer[],
    parse: (answer: Buffer) => T,
  ): Promise<T> {
    const { frames } = await this.#link(node)
    try {
      return parse(await frames.request(apiKey, apiVersion, body))
    } catch (error) {
      throw await this.#connections.explain(`${node.host}:${node.port}`, error)
    }
  }

  name(code: number): string {
    return this.codecs.protocolErrorsCodesById[code as 0] ?? `error ${code}`
  }

  check(during: string, code: number): void {
    if (code !== 0) throw new WireAnswerError(this.name(code), during)
  }

  /** @param topics with the codes of their partitions */
  checkTopics(
    during: string,
    topics: readonly { readonly name: string; readonly codes: readonly number[] }[],
  ): void {
    const failed = topics.flatMap(({ name, codes }) =>
      codes.filter((code) => code !== 0).map((code) => ({ topic: name, answer: this.name(code) })),
    )
    // Kafka marks the partitions that were not at fault so, next to the one that was.
    const first = failed.find(({ answer }) => answer !== 'OPERATION_NOT_ATTEMPTED') ?? failed[0]
    if (first === undefined) return
    const { topic, answer } = first
    throw new WireAnswerError(answer, during, `${during} of ${topic}: ${answer}`, topic)
  }
}
