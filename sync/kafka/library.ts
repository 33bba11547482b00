/**
 * Loads of @platformatic/kafka what the wire needs, by file: its index brings consumers, registries, Avro and Protobuf
 * along, 39 MB where these files take 20 (measured, private memory). The package is pinned to one version, whose files do
 * not move; where they cannot be found, as in a bundle, the index serves.
 */
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

type Package = typeof import('@platformatic/kafka')

/** The exports in use, under their own names. */
export type Library = Pick<
  Package,
  | 'Connection'
  | 'Reader'
  | 'Writer'
  | 'protocolErrorsCodesById'
  | 'metadataV12'
  | 'createTopicsV7'
  | 'listOffsetsV7'
  | 'offsetForLeaderEpochV4'
  | 'findCoordinatorV4'
  | 'initProducerIdV4'
  | 'describeTransactionsV0'
  | 'offsetFetchV8'
  | 'offsetCommitV8'
  | 'addPartitionsToTxnV3'
  | 'addOffsetsToTxnV3'
  | 'txnOffsetCommitV3'
  | 'endTxnV3'
  | 'produceV9'
>

export async function loadLibrary(): Promise<Library> {
  const require = createRequire(import.meta.url)
  const index = pathToFileURL(require.resolve('@platformatic/kafka'))
  try {
    return await loadFiles((path) => import(new URL(path, index).href))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error
    return import('@platformatic/kafka')
  }
}

async function loadFiles(load: (path: string) => Promise<unknown>): Promise<Library> {
  const from = <Module>(path: string) => load(path) as Promise<Module>
  return {
    ...(await from<Pick<Package, 'Connection'>>('./network/connection.js')),
    ...(await from<Pick<Package, 'Reader'>>('./protocol/reader.js')),
    ...(await from<Pick<Package, 'Writer'>>('./protocol/writer.js')),
    ...(await from<Pick<Package, 'protocolErrorsCodesById'>>('./protocol/errors.js')),
    metadataV12: await from('./apis/metadata/metadata-v12.js'),
    createTopicsV7: await from('./apis/admin/create-topics-v7.js'),
    listOffsetsV7: await from('./apis/consumer/list-offsets-v7.js'),
    offsetForLeaderEpochV4: await from('./apis/consumer/offset-for-leader-epoch-v4.js'),
    findCoordinatorV4: await from('./apis/metadata/find-coordinator-v4.js'),
    initProducerIdV4: await from('./apis/producer/init-producer-id-v4.js'),
    describeTransactionsV0: await from('./apis/admin/describe-transactions-v0.js'),
    offsetFetchV8: await from('./apis/consumer/offset-fetch-v8.js'),
    offsetCommitV8: await from('./apis/consumer/offset-commit-v8.js'),
    addPartitionsToTxnV3: await from('./apis/producer/add-partitions-to-txn-v3.js'),
    addOffsetsToTxnV3: await from('./apis/producer/add-offsets-to-txn-v3.js'),
    txnOffsetCommitV3: await from('./apis/producer/txn-offset-commit-v3.js'),
    endTxnV3: await from('./apis/producer/end-txn-v3.js'),
    produceV9: await from('./apis/producer/produce-v9.js'),
  }
}
