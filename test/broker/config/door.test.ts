/** What a person may write about who connects, and what is said where it cannot be meant. */
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { directoryName, loaded, problems } from './support.ts'

const listener = (more: string) => `mqtt:\n  listeners:\n    - address: 127.0.0.1:8883\n${more}`

test('certificate files are relative to the configuration, and a WebSocket has a path', () => {
  const text = listener(
    '      tls: { certFile: a.crt, keyFile: a.key, clientCaFile: ca.crt }\n      webSocket: {}\n',
  )
  const [found] = loaded(text).config.mqtt.listeners
  const file = (name: string) => join(directoryName, name)
  expect(found).toEqual({
    address: '127.0.0.1:8883',
    tls: { certFile: file('a.crt'), keyFile: file('a.key'), clientCaFile: file('ca.crt') },
    webSocket: { path: '/mqtt' },
  })
})

test.each([
  [
    listener('      tls: { certFile: a.crt, keyFile: a.key, clientCertificate: require }\n'),
    '4:66: clientCertificate says nothing without clientCaFile: no certificate could be checked - ' +
      "add clientCaFile, the authority of the clients' certificates, or remove it",
  ],
  [
    listener('      tls: { certFile: a.crt }\n'),
    '4:12: mqtt.listeners[0].tls.keyFile is missing - add it: a file',
  ],
  [
    listener('      webSocket: { path: mqtt }\n'),
    '4:26: mqtt.listeners[0].webSocket.path is "mqtt" - it is a path such as /mqtt',
  ],
  [
    'mqtt:\n  permissions:\n    - publish: ["a/#/b"]\n',
    '3:17: "a/#/b" is no topic filter: "#" stands only at the end; "b" follows it - examples: "plant/+/temperature", "plant/%u/#", "#"',
  ],
  [
    'mqtt:\n  permissions:\n    - subscribe: ["d/%d"]\n',
    '3:19: "d/%d" is no topic filter: "%d" stands for nothing - there are %c and %u',
  ],
  [
    'mqtt:\n  permissions:\n    - subscribe: ["$share/g/a"]\n',
    '3:19: "$share/g/a" is no topic filter: shared subscriptions are allowed by their filter - write it without "$share/group/"',
  ],
  [
    'streams:\n  - { name: a, topics: ["#"], writer: anonymous }\n',
    '2:39: the writer of stream "a" has to have a name - name a user, or remove writer',
  ],
  [
    'limits: { messagesPerSecondPerClient: 0 }\n',
    '1:39: limits.messagesPerSecondPerClient is 0 - it is a whole number from 1 to 10000000',
  ],
])('%j is refused', (text, line) => {
  expect(problems(text)).toEqual([line])
})

test('a permission is for all users unless it names some, and allows what it names', () => {
  const { permissions } = loaded(
    'mqtt:\n  permissions:\n    - { publish: ["p/%u/#"] }\n    - { users: [a], subscribe: ["#"] }\n',
  ).config.mqtt
  expect(permissions).toEqual([
    { users: ['*'], publish: ['p/%u/#'], subscribe: [] },
    { users: ['a'], publish: [], subscribe: ['#'] },
  ])
})

test('what is allowed and hardly meant is a warning', () => {
  const { warnings } = loaded('mqtt:\n  permissions:\n    - { users: [anonymous] }\n')
  expect(warnings.map((line) => line.slice(line.indexOf('.yaml:') + 6))).toEqual([
    '3:7: this permission allows nothing - give it publish or subscribe',
    '3:7: there are no anonymous clients - set mqtt.anonymous: true, or remove "anonymous"',
  ])
})
