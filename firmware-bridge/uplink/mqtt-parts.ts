/**
 * The two classes of mqtt.js that are used, by their own files: all of the package takes 5 MB more of a process that is to have 80
 * (WebSocket, SOCKS). As CommonJS made from ES modules they are told differently by each loader; `require` has one way.
 */
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)
// readable-stream's own word for: Node's streams in place of a copy of them
process.env.READABLE_STREAM ??= 'disable'

type ClientModule = { readonly default: typeof import('mqtt').MqttClient }
type StoreModule = { readonly default: typeof import('mqtt').Store }

export const { default: MqttClient } = require('mqtt/lib/client') as ClientModule
export const { default: Store } = require('mqtt/lib/store') as StoreModule
