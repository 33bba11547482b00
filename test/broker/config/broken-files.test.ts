/** Broken configuration files, each with the exact lines that a person sees (after `file:`). */
import { expect, test } from 'vitest'
import { problems } from './support.ts'

const cases: [text: string | Buffer, lines: string[]][] = [
  ['limts:\n  recordBytesMax: 5\n', ['1:1: unknown key "limts" at the top level - did you mean "limits"?']],
  [
    'limits:\n  recordbytesmax: 1000\n',
    ['2:3: unknown key "recordbytesmax" in limits - did you mean "recordBytesMax"?'],
  ],
  ['http:\n  token: x\n', ['2:3: unknown key "token" in http - did you mean "tokenFile"?']],
  ['listeners: []\n', ['1:1: unknown key "listeners" at the top level - it belongs to mqtt']],
  ['partitions: 4\n', ['1:1: unknown key "partitions" at the top level - it belongs to an entry of streams']],
  ['retention: 5\n', ['1:1: unknown key "retention" at the top level - it belongs to an entry of streams']],
  [
    'streams:\n  - name: a\n    topics: ["#"]\n    retention: 1d\n',
    ['4:16: streams[0].retention is "1d" - it is a group of keys: bytes, seconds, unsynced'],
  ],
  [
    'zzzzzzz: 1\n',
    [
      '1:1: unknown key "zzzzzzz" at the top level - known here: configVersion, edge, data, mqtt, http, limits, log, clock, streams, upstreams, downlinks',
    ],
  ],
  [
    'mqtt:\n  listeners: 1883\n',
    ['2:14: mqtt.listeners is 1883 - it is a list, such as [{"address":"127.0.0.1:1883"}]'],
  ],
  [
    'mqtt: 1883\n',
    [
      '1:7: mqtt is 1883 - it is a group of keys: listeners, anonymous, permissions, holdPublishersBack, sysIntervalSeconds',
    ],
  ],
  ['mqtt:\n  listeners: []\n', ['2:14: mqtt.listeners is empty - it needs at least 1 entry']],
  [
    'mqtt:\n  listeners:\n    - 1883\n',
    [
      '3:7: mqtt.listeners[0] is 1883 - it is host:port, or { address: host:port } with tls and webSocket where they are wanted',
    ],
  ],
  [
    'mqtt:\n  listeners:\n    - address: 1883\n',
    ['3:16: mqtt.listeners[0].address is 1883, not text - put it in quotes: "1883"'],
  ],
  [
    'mqtt:\n  listeners:\n    - address: "localhost"\n',
    [
      '3:16: "localhost" is no address to listen on: the port is missing - write host:port, [IPv6]:port, or a port alone',
    ],
  ],
  [
    'mqtt:\n  listeners:\n    - address: "mqtt://localhost:1883"\n',
    [
      '3:16: "mqtt://localhost:1883" is no address to listen on: it is an address, not a URL; write it without the scheme - write host:port, [IPv6]:port, or a port alone',
    ],
  ],
  [
    'mqtt:\n  listeners:\n    - address: "::1:1883"\n',
    [
      '3:16: "::1:1883" is no address to listen on: an IPv6 address stands in brackets, as in "[::1]:1883" - write host:port, [IPv6]:port, or a port alone',
    ],
  ],
  [
    'mqtt:\n  listeners:\n    - address: "127.0.0.1:70000"\n',
    [
      '3:16: "127.0.0.1:70000" is no address to listen on: "70000" is not a port; ports are 0 to 65535 - write host:port, [IPv6]:port, or a port alone',
    ],
  ],
  [
    'mqtt:\n  listeners:\n    - address: "127.0.0.1:mqtt"\n',
    [
      '3:16: "127.0.0.1:mqtt" is no address to listen on: "mqtt" is not a port; ports are 0 to 65535 - write host:port, [IPv6]:port, or a port alone',
    ],
  ],
  [
    'mqtt:\n  listeners:\n    - address: 127.0.0.1:1883\n    - address: 127.0.0.1:1883\n',
    ['4:16: 127.0.0.1:1883 is listened on twice (mqtt.listeners[0] is the same) - remove one of them'],
  ],
  [
    'mqtt:\n  listeners:\n    - address: ":1883"\n    - {}\n',
    ['4:7: mqtt.listeners[1].address is missing - add it: host:port, [IPv6]:port or a port'],
  ],
  [
    'limits:\n  connectionsMax: 0\n',
    ['2:19: limits.connectionsMax is 0 - it is a whole number from 1 to 100000'],
  ],
  [
    'limits:\n  connectionsMax: many\n',
    ['2:19: limits.connectionsMax is "many" - it is a whole number from 1 to 100000'],
  ],
  [
    'limits:\n  connectionsMax: 1.5\n',
    ['2:19: limits.connectionsMax is 1.5 - it is a whole number from 1 to 100000'],
  ],
  [
    'limits:\n  recordBytesMax: 2MiB\n',
    ['2:19: limits.recordBytesMax is "2MiB" - write it as a number: 2097152'],
  ],
  [
    'limits:\n  recordBytesMax: 4 MB\n',
    ['2:19: limits.recordBytesMax is "4 MB" - write it as a number: 4194304'],
  ],
  [
    'limits:\n  recordBytesMax: 8388608\n',
    [
      '2:3: limits.admittedBytesMax is 2097152, less than limits.recordBytesMax (8388608) - raise it to 8388608 or more, or lower limits.recordBytesMax',
    ],
  ],
  [
    'log:\n  segmentBytes: 1000\n',
    ['2:17: log.segmentBytes is 1000 - it is a whole number from 1048576 to 1073741824'],
  ],
  [
    'limits:\n  recordBytesMax:\n',
    ['2:18: limits.recordBytesMax has no value - it is a whole number from 256 to 67108864'],
  ],
  ['edge: my edge\n', ['1:7: edge is "my edge" - it is 1 to 64 letters, digits, ".", "_" or "-"']],
  ['edge: 12\n', ['1:7: edge is 12, not text - put it in quotes: "12"']],
  ['edge: ""\n', ['1:7: edge is "" - it is 1 to 64 letters, digits, ".", "_" or "-"']],
  [
    'edge: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n',
    [
      '1:7: edge is "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" - it is 1 to 64 letters, digits, ".", "_" or "-"',
    ],
  ],
  ['data: ""\n', ['1:7: data is "" - it is a directory']],
  ['data: [a]\n', ['1:7: data is a list - it is a directory']],
  ['streams:\n', ['1:9: streams has no value - it is a list']],
  ['streams: []\n', ['1:10: streams is empty - it needs at least 1 entry']],
  [
    'log:\n  compaction:\n    schedule: every night\n',
    [
      '3:15: "every night" is no schedule - five fields: minute hour day month weekday, such as "30 2 * * *" for every night at half past two',
    ],
  ],
  [
    'streams:\n  - name: a\n    topics: ["#"]\n    key: none\n    cleanup: compact\n',
    ['5:14: stream "a" is compacted by key and has none - give it a key, or cleanup: delete'],
  ],
  [
    'streams:\n  - name: a\n    topics: ["#"]\n    cleanup: compact\n    retention:\n      seconds: 60\n',
    [
      '6:16: retention.seconds has no effect on stream "a": it is only compacted - say cleanup: compact,delete',
    ],
  ],
  [
    'streams:\n  - name: a\n    topics: ["#"]\n    retention: { unsynced: drop }\n',
    ['4:28: streams[0].retention.unsynced is "drop" - did you mean "drop-oldest"?'],
  ],
  ['streams: events\n', ['1:10: streams is "events" - it is a list']],
  [
    'streams:\n  - events\n',
    [
      '2:5: streams[0] is "events" - it is a group of keys: name, topics, key, partitions, cleanup, retention, tombstoneSeconds, priority, table, writer',
    ],
  ],
  [
    'streams:\n  - name: a\n',
    ['2:5: streams[0].topics is missing - add it: a list, such as ["plant/+/alarm"]'],
  ],
  [
    'streams:\n  - topics: ["#"]\n',
    ['2:5: streams[0].name is missing - add it: 1 to 200 letters, digits, ".", "_" or "-"'],
  ],
  [
    'streams:\n  - name: a b\n    topics: ["#"]\n',
    ['2:11: streams[0].name is "a b" - it is 1 to 200 letters, digits, ".", "_" or "-"'],
  ],
  [
    'streams:\n  - name: ..\n    topics: ["#"]\n',
    ['2:11: a stream cannot be called ".." - Kafka allows no topic of that name'],
  ],
  [
    'streams:\n  - name: a\n    topics: "#"\n',
    ['3:13: streams[0].topics is "#", not a list - write it as a list: ["#"]'],
  ],
  [
    'streams:\n  - name: a\n    topics: #\n',
    ['3:13: streams[0].topics has no value - it is a list, such as ["plant/+/alarm"]'],
  ],
  [
    'streams:\n  - name: a\n    topics: []\n',
    ['3:13: streams[0].topics is empty - it needs at least 1 entry'],
  ],
  [
    'streams:\n  - name: a\n    topics: [""]\n',
    [
      '3:14: "" is no topic filter: a topic filter is at least one character long - examples: "plant/+/temperature", "plant/#", "#"',
    ],
  ],
  [
    'streams:\n  - name: a\n    topics: ["a/#/b"]\n',
    [
      '3:14: "a/#/b" is no topic filter: "#" stands only at the end; "b" follows it - examples: "plant/+/temperature", "plant/#", "#"',
    ],
  ],
  [
    'streams:\n  - name: a\n    topics: ["a/b#"]\n',
    [
      '3:14: "a/b#" is no topic filter: "#" takes a whole level; in "b#" it is part of one - examples: "plant/+/temperature", "plant/#", "#"',
    ],
  ],
  [
    'streams:\n  - name: a\n    topics: ["a+/b"]\n',
    [
      '3:14: "a+/b" is no topic filter: "+" takes a whole level; in "a+" it is part of one - examples: "plant/+/temperature", "plant/#", "#"',
    ],
  ],
  [
    'streams:\n  - name: a\n    topics: ["$share/g/a"]\n',
    [
      '3:14: "$share/g/a" is no topic filter: a stream has no shared subscriptions; write the filter without "$share/group/" - examples: "plant/+/temperature", "plant/#", "#"',
    ],
  ],
  [
    'streams:\n  - name: a\n    topics: ["$SYS/#"]\n',
    [
      '3:14: "$SYS/#" is no topic filter: topics that begin with "$" belong to the broker and are never recorded - examples: "plant/+/temperature", "plant/#", "#"',
    ],
  ],
  [
    'streams:\n  - name: a\n    topics: ["a\\0b"]\n',
    [
      '3:14: "a\\0b" is no topic filter: a topic filter holds no U+0000 - examples: "plant/+/temperature", "plant/#", "#"',
    ],
  ],
  [
    'streams:\n  - name: a\n    topics: [5]\n',
    ['3:14: streams[0].topics[0] is 5, not text - put it in quotes: "5"'],
  ],
  [
    'streams:\n  - name: a\n    topics: [a/b]\n  - name: a\n    topics: [c]\n',
    ['4:11: there are two streams called "a" (streams[0] is the other) - give each its own name'],
  ],
  [
    'streams:\n  - name: events\n    topics: ["#"]\n  - name: alarms\n    topics: ["+/alarm"]\n',
    [
      '5:14: "+/alarm" can never match: stream "events" stands above and takes it with "#" - move stream "alarms" above "events"',
    ],
  ],
  [
    'streams:\n  - name: events\n    topics: ["a/#", "a/b"]\n',
    ['3:21: "a/b" adds nothing: "a/#" of the same stream takes all that it takes - remove it'],
  ],
  [
    'streams:\n  - name: events\n    topics: ["a/#", "a/b", "a/b"]\n    key: topics\n',
    ['4:10: streams[0].key is "topics" - did you mean "topic"?'],
  ],
  [
    'streams:\n  - name: events\n    topics: ["a/#"]\n    key: device\n',
    ['4:10: streams[0].key is "device" - it is topic, none, { levels: [0, 2] } or { pointer: /device/id }'],
  ],
  [
    'streams:\n  - name: events\n    topics: ["a/#"]\n    key: { level: [1] }\n',
    ['4:12: unknown key "level" in streams[0].key - did you mean "levels"?'],
  ],
  [
    'streams:\n  - name: events\n    topics: ["a/#"]\n    key: { levels: [] }\n',
    ['4:20: streams[0].key.levels is empty - it needs at least 1 entry'],
  ],
  [
    'streams:\n  - name: events\n    topics: ["a/#"]\n    key: { levels: [-1, 3, 3] }\n',
    [
      '4:20: streams[0].key.levels has the same entry twice - keep one of them',
      '4:21: streams[0].key.levels[0] is -1 - it is a whole number from 0 to 127',
    ],
  ],
  [
    'streams:\n  - name: events\n    topics: ["a/#"]\n    key: { levels: 1, pointer: /a }\n',
    [
      '4:10: streams[0].key is a group of keys (levels, pointer) - it is topic, none, { levels: [0, 2] } or { pointer: /device/id }',
    ],
  ],
  [
    'streams:\n  - name: events\n    topics: ["a/#"]\n    key: { pointer: device }\n',
    ['4:21: streams[0].key.pointer is "device" - it is a JSON pointer such as /device/id'],
  ],
  [
    'streams:\n  - name: events\n    topics: ["a/#"]\n    key: [1]\n',
    ['4:10: streams[0].key is a list - it is topic, none, { levels: [0, 2] } or { pointer: /device/id }'],
  ],
  [
    'streams:\n  - name: events\n    topics: ["a/#"]\n    partitions: 0\n    partition: 1\n',
    ['5:5: unknown key "partition" in streams[0] - did you mean "partitions"?'],
  ],
  ['upstreams:\n  - name: a\n', ['2:5: upstreams[0].kind is missing - archive or kafka']],
  [
    'upstreams:\n  - kind: kafak\n    name: a\n',
    ['2:11: upstreams[0].kind is "kafak" - did you mean "kafka"?'],
  ],
  [
    'upstreams:\n  - kind: kafka\n    name: a\n',
    ['2:5: upstreams[0].brokers is missing - add it: a list, such as ["kafka.example.com:9092"]'],
  ],
  [
    'upstreams:\n  - kind: kafka\n    name: a\n    broker: x\n',
    ['4:5: unknown key "broker" in upstreams[0] - did you mean "brokers"?'],
  ],
  [
    'upstreams:\n  - kind: kafka\n    name: a\n    brokers: [a]\n    tls: { ca: x }\n',
    [
      '5:10: upstreams[0].tls.caFile is missing - add it: text',
      '5:12: unknown key "ca" in upstreams[0].tls - the only one here is caFile',
    ],
  ],
  ['upstreams:\n  - kind: 1\n    name: a\n', ['2:11: upstreams[0].kind is 1 - known here: archive, kafka']],
  [
    'upstreams:\n  - {kind: archive, name: a, directory: x}\n  - {kind: archive, name: a, directory: x}\n',
    [
      '3:27: there are two upstreams called "a" (upstreams[0] is the other) - give each its own name',
      '3:41: upstreams "a" and "a" would write into one directory - give each its own directory',
    ],
  ],
  [
    'upstreams:\n  - {kind: archive, name: a, directory: data}\n',
    [
      '2:41: upstream "a" would write into the data directory itself - give the archive a directory of its own',
    ],
  ],
  [
    'streams:\n  - name: a\n    topics: ["#"]\n    key: none\n    table: true\n',
    [
      '5:12: stream "a" cannot have a table: its records have no key - set key to topic, { levels: [...] } or { pointer: ... }, or table: false',
    ],
  ],
  ['upstreams:\n', ['1:11: upstreams has no value - it is a list']],
  ['- a\n', ['1:1: the file holds a list, not keys - compare with the file that `headwater init` writes']],
  [
    'hello\n',
    ['1:1: the file holds one value, not keys - compare with the file that `headwater init` writes'],
  ],
  [
    'mqtt:\n\tlisteners: []\n',
    ['2:1: a tab indents this line - indent with spaces; YAML allows no tabs there'],
  ],
  ['edge: a\nedge: b\n', ['2:1: "edge" stands here a second time - keep one of the two']],
  [
    'edge: a\n---\nedge: b\n',
    ['2:1: a second document begins here - keep one document; remove the line "---"'],
  ],
  ['edge: @a\n', ['1:7: plain value cannot start with reserved character @ - put the value in quotes']],
  ['edge: *a\n', ['1:7: nothing is called "a" here - put it in quotes: "*a"']],
  [
    'edge: a: b\n',
    ['1:7: a ": " where the value already began - indent keys alike, or put the value in quotes'],
  ],
  ['edge: "a\n', ['2:1: a quote that was opened here or above is not closed - close it']],
  [
    'edge: !secret x\n',
    [
      '1:7: "!secret" means nothing here - remove it; the environment gives values by names of its own, which the file of init tells',
    ],
  ],
  ['limits: {recordBytesMax: 4\n', ['2:1: a "{" that was opened above is not closed - close it']],
  [
    'streams:\n  - name: x\n   topics: [a]\n',
    [
      '3:1: this line is indented less than the list entry it follows - indent it like the first key after "-"',
    ],
  ],
  [Buffer.from([255, 254, 97]), ['1:1: the file is UTF-16 - save it as UTF-8']],
  ['?? \n', ['1:1: the file holds one value, not keys - compare with the file that `headwater init` writes']],
]

test.each(cases)('%j', (text, lines) => {
  expect(problems(text)).toEqual(lines)
})
