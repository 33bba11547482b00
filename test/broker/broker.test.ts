/** The broker as a whole: what a start leaves open when it fails, what a close leaves on disk, and what reads it afterwards. */

import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { DataDirectoryError, DataDirectoryLockedError, StreamDefinitionError } from '../../broker/errors.ts'
import { openLog } from '../../broker/open-log.ts'
import { nodeDisk } from '../../broker/storage/node-disk.ts'
import { FaultyDisk } from '../support/faulty-disk.ts'
import { streamConfig } from '../support/stream-config.ts'
import { readAll } from './log/support.ts'
import { dataDirectory, RawClient, recordsIn, startBroker } from './mqtt/support.ts'

async function publish(port: number, topic: string, payload: string): Promise<void> {
  const client = await RawClient.connect(port, `c-${topic}-${payload}`)
  client.publish(1, 1, payload, { topic })
  await client.next('puback')
  client.end()
}

describe('a broker', () => {
  it('keeps what was acknowledged, its edge and its incarnation over a restart', async () => {
    const data = dataDirectory()
    const first = await startBroker({ data })
    await publish(first.port, 'a', 'v')
    const { edge, incarnation } = first.broker.status()
    await first.broker.close()
    const again = await startBroker({ data })
    expect(again.broker.status()).toMatchObject({ edge, incarnation, dataDirectory: data })
    expect(again.broker.log.identity).toEqual({ edge, incarnation })
    expect(await recordsIn(again.broker)).toEqual([{ topic: 'a', value: 'v' }])
    expect(again.broker.status().log).toMatchObject({ condition: 'open', reason: null, failedCommits: 0 })
  })

  it('says at its start and in its status what is to be feared of the file system', async () => {
    const fileSystemProbe = {
      realPath: async () => '/ram/data',
      statfsType: async () => 0x01021994,
      mountInfo: async () => '41 22 0:5 / /ram rw - tmpfs none rw',
    }
    const { broker, sink, config } = await startBroker({ fileSystemProbe })
    const [line, ...others] = sink.matching('file system')
    expect(others).toEqual([])
    expect(line).toMatchObject({ level: 'warn', fields: { data: config.data } })
    expect(line!.message).toMatch(
      /^the data directory's file system: tmpfs is in memory: .* - put the data directory/,
    )
    expect(broker.status().fileSystem).toMatchObject({ kind: 'volatile', type: 'tmpfs', mountPoint: '/ram' })
    const quiet = await startBroker({
      fileSystemProbe: { ...fileSystemProbe, statfsType: async () => 0xef53 },
    })
    expect(quiet.sink.matching('file system')).toEqual([])
    expect(quiet.broker.status().fileSystem).toMatchObject({ kind: 'reliable', warning: null })
  })

  it('starts on a directory whose identity and facts are damaged, and says so in its status', async () => {
    const data = dataDirectory()
    const first = await startBroker({ data })
    await publish(first.port, 'a', 'v')
    const { edge, incarnation } = first.broker.status()
    await first.broker.close()
    writeFileSync(join(data, 'headwater.json'), '')
    rmSync(join(data, 'facts', 'CURRENT'))
    const { broker, port } = await startBroker({ data })
    expect(broker.status()).toMatchObject({
      edge,
      incarnation,
      dataRecovery: { identityRestored: 1, factsSalvaged: 1, identityReplaced: 0, factsMissing: 0 },
    })
    await publish(port, 'a', 'w')
    expect(await recordsIn(broker)).toHaveLength(2)
  })

  it('starts under a new incarnation where its identity is lost, and takes records', async () => {
    const data = dataDirectory()
    const first = await startBroker({ data })
    await publish(first.port, 'a', 'v')
    const { incarnation } = first.broker.status()
    await first.broker.close()
    rmSync(join(data, 'headwater.json'))
    rmSync(join(data, 'facts'), { recursive: true })
    const { broker, port } = await startBroker({ data })
    expect(broker.status().incarnation).not.toBe(incarnation)
    expect(broker.status().dataRecovery).toMatchObject({ identityReplaced: 1, factsMissing: 1 })
    await publish(port, 'a', 'w')
    expect(await recordsIn(broker)).toHaveLength(2)
  })

  it('is refused a data directory that another one has, and leaves that one alone', async () => {
    const data = dataDirectory()
    const { broker, port } = await startBroker({ data })
    await expect(startBroker({ data })).rejects.toBeInstanceOf(DataDirectoryLockedError)
    await publish(port, 'a', 'v')
    expect(await recordsIn(broker)).toHaveLength(1)
  })

  it('that could not start has left nothing open', async () => {
    const data = dataDirectory()
    const { broker } = await startBroker({ data })
    await broker.close()
    const change = (config: { streams: { partitions: number }[] }) => {
      config.streams[0]!.partitions = 9
    }
    await expect(startBroker({ data, change })).rejects.toBeInstanceOf(StreamDefinitionError)
    await (await startBroker({ data })).broker.close()
  })

  it('that could not start on a full disk starts once there is space, wherever it ran out', async () => {
    for (const on of ['make-directory', 'create-store', 'replace', 'sync'] as const) {
      for (let nth = 1; nth <= 8; nth++) {
        const data = dataDirectory()
        rmSync(data, { recursive: true })
        mkdirSync(data)
        const disk = new FaultyDisk(nodeDisk)
        disk.fail({ on, nth, code: 'ENOSPC' })
        const started = await startBroker({ data, disk }).catch((error: Error) => error)
        if (!(started instanceof Error)) {
          await started.broker.close()
          break
        }
        disk.heal()
        const { broker } = await startBroker({ data, disk })
        await broker.close()
      }
    }
  })

  it('has a stream of dead letters where a key can be missing, and only there', async () => {
    const plain = await startBroker()
    expect(plain.broker.log.streams()).toMatchObject([{ stream: 'events', partitions: 4 }])
    const { broker, port } = await startBroker({
      change: (config) => {
        config.streams = [streamConfig({ name: 'machines', key: { pointer: '/id' }, partitions: 2 })]
      },
    })
    await publish(port, 'a', 'no JSON')
    await publish(port, 'a', '{"id":"m1"}')
    expect(await recordsIn(broker, 'dead-letters')).toEqual([{ topic: 'a', value: 'no JSON' }])
    expect(await recordsIn(broker, 'machines')).toEqual([{ topic: 'm1', value: '{"id":"m1"}' }])
  })

  it('names a new edge after the host and keeps the name that a directory has', async () => {
    const data = dataDirectory()
    const auto = (config: { edge: string }) => {
      config.edge = 'auto'
    }
    const { broker } = await startBroker({ data, change: auto })
    const { edge } = broker.status()
    expect(edge).toMatch(/^[A-Za-z0-9._-]{1,64}$/)
    await broker.close()
    const other = (config: { edge: string }) => {
      config.edge = `${edge}-other`
    }
    await expect(startBroker({ data, change: other })).rejects.toThrow(/belongs to the edge/)
    const again = await startBroker({ data, change: auto })
    expect(again.broker.status().edge).toBe(edge)
  })
})

describe('a log that is read while no broker runs', () => {
  it('has every stream that was ever written, without a configuration', async () => {
    const data = dataDirectory()
    const { broker, port } = await startBroker({ data })
    await publish(port, 'a', 'v')
    await broker.close()
    const log = await openLog(data)
    expect(log.streams()).toMatchObject([{ stream: 'events', partitions: 4 }])
    const { partition } = log.partitions().find(({ durableOffset }) => durableOffset === 1)!
    expect(await readAll(log as never, partition)).toEqual(['0:v'])
    expect((await log.verify(() => {})).isWhole).toBe(true)
    await log.close()
    await (await startBroker({ data })).broker.close()
  })

  it('is refused while one runs', async () => {
    const data = dataDirectory()
    await startBroker({ data })
    await expect(openLog(data)).rejects.toBeInstanceOf(DataDirectoryLockedError)
  })

  it('is refused where there is none, and nothing is made there', async () => {
    const data = join(dataDirectory(), 'none')
    await expect(openLog(data)).rejects.toBeInstanceOf(DataDirectoryError)
    expect(existsSync(data)).toBe(false)
  })

  it('that cannot be opened leaves the directory free', async () => {
    const data = dataDirectory()
    const { broker } = await startBroker({ data })
    await broker.close()
    const manifest = join(data, 'log', 'main', 'manifest.json')
    rmSync(manifest)
    writeFileSync(manifest, '{"format":9}')
    await expect(openLog(data)).rejects.toThrow(/manifest\.json/)
    await expect(openLog(data)).rejects.toThrow(/manifest\.json/)
  })
})
