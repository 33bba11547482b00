import type { TSchema } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { describe, expect, it } from 'vitest'
import { deliveryFaults } from '../../sync/config/delivery-faults.ts'
import { type KafkaUpstreamConfig, type UpstreamConfig, UpstreamSchema } from '../../sync/config.ts'
import { createUpstream, upstreamFaults } from '../../sync/index.ts'

function load(entry: Record<string, unknown>): UpstreamConfig {
  const value = Value.Default(UpstreamSchema, entry)
  if (!Value.Check(UpstreamSchema, value))
    throw new Error(JSON.stringify([...Value.Errors(UpstreamSchema, value)]))
  return value
}

const KAFKA = { name: 'central', kind: 'kafka', bootstrap: ['127.0.0.1:9092'] }

describe('the configuration of an upstream', () => {
  it('needs little: the rest has defaults', () => {
    expect(load({ name: 'a', kind: 'archive', directory: '/x' })).toEqual({
      name: 'a',
      kind: 'archive',
      directory: '/x',
      fileBytesMax: 67_108_864,
      round: { bytesMax: 4_194_304, lingerMs: 1000 },
      backoff: { firstMs: 1000, msMax: 20_000 },
      streams: { include: ['*'], exclude: [] },
      filters: [],
      priorities: {},
      urgentPriority: 8,
      budgets: [],
    })
    expect(load(KAFKA)).toMatchObject({
      topic: '{stream}',
      createTopics: false,
      replicationFactor: -1,
      provenance: 'record',
      groupPrefix: 'headwater.',
      transactionTimeoutMs: 10_000,
      round: { bytesMax: 8_388_608, lingerMs: 100 },
    })
  })

  it('refuses unknown keys and addresses without a port', () => {
    expect(() => load({ ...KAFKA, brokers: [] })).toThrow()
    expect(() => load({ ...KAFKA, bootstrap: ['kafka'] })).toThrow()
    expect(() => load({ ...KAFKA, sasl: { mechanism: 'GUESS', username: 'u' } })).toThrow()
  })

  it('describes every field', () => {
    const visit = (schema: TSchema, path: string): void => {
      for (const [key, property] of Object.entries((schema.properties ?? {}) as Record<string, TSchema>)) {
        expect(property.description, `${path}.${key}`).toMatch(/\w{3,}/)
        visit(property, `${path}.${key}`)
      }
    }
    for (const branch of UpstreamSchema.anyOf) visit(branch, branch.properties.kind.const)
  })

  it('finds what a schema cannot say', async () => {
    const sasl = { username: 'u' }
    const faults = (changes: Record<string, unknown>) =>
      upstreamFaults(load({ ...KAFKA, ...changes })).map((f) => f.path[0])
    expect(faults({})).toEqual([])
    expect(faults({ sasl })).toEqual(['sasl'])
    expect(faults({ sasl: { ...sasl, password: 'p' } })).toEqual([])
    expect(faults({ sasl: { ...sasl, password: 'p', passwordEnv: 'P' } })).toEqual(['sasl'])
    expect(faults({ sasl: { password: 'p' } })).toEqual(['sasl'])
    expect(faults({ tls: { certFile: '/c' } })).toEqual(['tls'])
    expect(faults({ tls: { keyPasswordFile: '/p' } })).toEqual(['tls'])
    const key = { certFile: '/c', keyFile: '/k' }
    expect(faults({ tls: { ...key, keyPasswordFile: '/p', keyPasswordEnv: 'P' } })).toEqual(['tls'])
    expect(faults({ tls: { ...key, keyPasswordFile: '/p' } })).toEqual([])
    expect(faults({ backoff: { firstMs: 5000, msMax: 1000 } })).toEqual(['backoff'])
    await expect(createUpstream(load({ ...KAFKA, sasl }))).rejects.toMatchObject({
      code: 'HW_UPSTREAM_CONFIG',
    })
  })

  it('takes a token from one place, and shows a client secret to nobody on the way', () => {
    const faults = (oauth: Record<string, unknown> | undefined, more: Record<string, unknown> = {}) =>
      upstreamFaults(
        load({ ...KAFKA, sasl: { mechanism: 'OAUTHBEARER', ...(oauth && { oauth }), ...more } }),
      ).map(({ path, message }) => `${path.join('.')}: ${message}`)
    const oauth = { tokenEndpoint: 'https://h/t', clientId: 'c', clientSecretFile: '/s' }
    expect(faults(oauth)).toEqual([])
    expect(faults({ tokenFile: '/t' })).toEqual([])
    expect(faults({ ...oauth, tokenEndpoint: 'http://127.0.0.1:1/t' })).toEqual([])
    expect(faults(undefined)).toEqual(['sasl: OAUTHBEARER needs a token'])
    expect(faults(oauth, { username: 'u' })).toEqual(['sasl: OAUTHBEARER takes no user'])
    const wrong: [Record<string, unknown>, string][] = [
      [{}, 'the token comes from one place'],
      [{ ...oauth, tokenFile: '/t' }, 'the token comes from one place'],
      [{ tokenFile: '/t', clientId: 'c' }, 'tokenFile needs no client'],
      [{ tokenEndpoint: 'https://h/t', clientSecretFile: '/s' }, 'a token endpoint asks who this is'],
      [{ tokenEndpoint: 'https://h/t', clientId: 'c' }, 'there is no client secret'],
      [{ ...oauth, clientSecretEnv: 'S' }, 'the client secret is given more than once'],
      [
        { ...oauth, tokenEndpoint: 'http://h/t' },
        'the token endpoint would get the client secret unencrypted',
      ],
    ]
    for (const [given, message] of wrong) expect(faults(given)).toEqual([`sasl.oauth: ${message}`])
    expect(faults(oauth, { mechanism: 'PLAIN', username: 'u', password: 'p' })).toEqual([
      'sasl.oauth: PLAIN uses no token',
    ])
    expect(() =>
      load({ ...KAFKA, sasl: { mechanism: 'OAUTHBEARER', oauth: { tokenEndpoint: 'https://u:p@h' } } }),
    ).toThrow()
  })

  it('warns where a password or a token would go over a network as it is', async () => {
    const warnings = async (changes: Record<string, unknown>) => {
      const lines: string[] = []
      const note = (line: string) => lines.push(line)
      await createUpstream(load({ ...KAFKA, ...changes }), { sink: { info: note, warn: note, error: note } })
      return lines
    }
    const bootstrap = ['127.0.0.1:1', 'kafka.example:1']
    const plain = { mechanism: 'PLAIN', username: 'u', password: 'p' }
    const oauth = { mechanism: 'OAUTHBEARER', oauth: { tokenFile: '/t' } }
    const line = (what: string) => [`upstream central: ${what} to everybody on the way - add tls`]
    expect(await warnings({ bootstrap, sasl: plain })).toEqual(line('PLAIN without tls shows the password'))
    expect(await warnings({ bootstrap, sasl: oauth })).toEqual(
      line('OAUTHBEARER without tls shows the token'),
    )
    expect(await warnings({ bootstrap, sasl: plain, tls: {} })).toEqual([])
    expect(await warnings({ bootstrap, sasl: { ...plain, mechanism: 'SCRAM-SHA-512' } })).toEqual([])
    expect(await warnings({ bootstrap: ['[::1]:1', 'localhost:1'], sasl: plain })).toEqual([])
  })

  it('checks what it says of the link', () => {
    const faults = (changes: Record<string, unknown>) =>
      upstreamFaults(load({ ...KAFKA, ...changes }), (text) => text === '* 1 * * *').map((f) => f.path[0])
    const night = { from: '22:00', to: '06:00' }
    expect(
      faults({ schedule: { windows: [night, { cron: '* 1 * * *' }], timezone: 'Europe/Berlin' } }),
    ).toEqual([])
    expect(faults({ schedule: { windows: [{ cron: '* 25 * * *' }] } })).toEqual(['schedule'])
    expect(faults({ schedule: { windows: [night], timezone: 'Europe/Bärlin' } })).toEqual(['schedule'])
    expect(faults({ budgets: [{ bytes: 1000 }, { bytes: 2000 }] })).toEqual(['budgets'])
    expect(faults({ budgets: [{ bytes: 1000 }, { bytes: 2000, period: 'day' }] })).toEqual([])
    expect(() => load({ ...KAFKA, schedule: { windows: [{ from: '24:00', to: '06:00' }] } })).toThrow()
    expect(() => load({ ...KAFKA, schedule: { windows: [{ ...night, days: ['someday'] }] } })).toThrow()
    expect(() => load({ ...KAFKA, priorities: { alarms: 10 } })).toThrow()
    expect(load({ ...KAFKA, filters: [{ streams: ['t'], oneIn: 10 }] }).filters).toEqual([
      { streams: ['t'], keys: { include: [], exclude: [] }, oneIn: 10, newestPerKey: false },
    ])
  })

  it('finds how records cannot be sent: what a codec does not have, and repeats that could not be told', () => {
    const faults = (changes: Record<string, unknown>, hasZstd = true) =>
      deliveryFaults(load({ ...KAFKA, ...changes }) as KafkaUpstreamConfig, hasZstd)
    const paths = (changes: Record<string, unknown>) => faults(changes).map(({ path }) => path[0])
    expect(paths({ compression: 'zstd', compressionLevel: 19 })).toEqual([])
    expect(faults({ compression: 'zstd' }, false)).toEqual([
      {
        path: ['compression'],
        message: `zstd needs Node.js 22.15, this is ${process.version}`,
        hint: expect.stringMatching(/gzip .* or lz4 .* newer Node/),
      },
    ])
    expect(paths({ compression: 'gzip', compressionLevel: 9 })).toEqual([])
    expect(paths({ compression: 'gzip', compressionLevel: 10 })).toEqual(['compressionLevel'])
    expect(paths({ compression: 'lz4', compressionLevel: 1 })).toEqual(['compressionLevel'])
    expect(paths({ mode: 'fleet' })).toEqual([])
    expect(paths({ mode: 'fleet', provenance: 'none' })).toEqual(['provenance'])
    const config = load({ ...KAFKA, mode: 'fleet', provenance: 'none' })
    expect(upstreamFaults(config).map(({ path }) => path[0])).toEqual(['provenance'])
  })

  it('says which secret cannot be read, and tries again by itself', async () => {
    const identity = { edge: 'e', incarnation: 'i' }
    const recover = async (sasl: Record<string, unknown>, env: NodeJS.ProcessEnv = {}) => {
      const upstream = await createUpstream(load({ ...KAFKA, bootstrap: ['127.0.0.1:1'], sasl }), { env })
      return upstream.recover(identity, []).catch((error) => error)
    }
    const missing = { code: 'HW_UPSTREAM_SECRET', retryable: true, slow: true }
    expect(await recover({ username: 'u', passwordFile: '/nowhere/secret' })).toMatchObject({
      ...missing,
      message: expect.stringContaining('/nowhere/secret: there is no such file'),
    })
    expect(await recover({ username: 'u', passwordEnv: 'NO_SUCH' })).toMatchObject(missing)
    const refused = await recover({ username: 'u', passwordEnv: 'YES' }, { YES: 'hunter2' })
    expect(refused).toMatchObject({ code: 'HW_UPSTREAM_UNREACHABLE' })
    expect(JSON.stringify(refused) + refused.line).not.toContain('hunter2')
  })
})
