import { readFileSync, rmSync } from 'node:fs'
import { openLevelWindowDb } from './dist/firmware-bridge/uplink/level-window-db.js'
import { MqttUplink } from './dist/firmware-bridge/uplink/mqtt-uplink.js'

const [port, sessions = 'device', n = '200', rate = '10', seconds = '15'] = process.argv.slice(2)
const dir = '/tmp/upload/data'
rmSync(dir, { recursive: true, force: true })
const rss = () =>
  (Number(/VmRSS:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) / 1024).toFixed(1)
console.log('start', rss())
const db = await openLevelWindowDb(dir)
const config = {
  broker: {
    url: `mqtt://127.0.0.1:${port}`,
    tls: {},
    keepAliveSeconds: 60,
    connectSeconds: 10,
    sessionExpirySeconds: 600,
    receiveMax: 8,
  },
  sessions,
  clientIdPrefix: '',
  bridgeClientId: 'hb-trial',
  window: { messages: 16, clientsMax: 10000 },
}
const log = { info: console.log, warn: console.log, error: console.log }
const up = await MqttUplink.start({ config, db, log, will: null })
while (!up.isUp) await new Promise((r) => setTimeout(r, 10))
console.log('up', rss(), (process.memoryUsage().heapUsed / 1e6).toFixed(1))
const devices = await Promise.all(
  Array.from({ length: +n }, (_, i) =>
    up.connect({
      clientId: `t-${i}`,
      isClean: true,
      keepAliveSeconds: 60,
      will: null,
      listener: { onMessage: async () => {}, onEnded: (r) => console.log('ended', r) },
    }),
  ),
)
console.log('connected', rss(), (process.memoryUsage().heapUsed / 1e6).toFixed(1))
const times = []
const kinds = {}
let stop = false
setInterval(() => {
  const m = process.memoryUsage()
  console.log(
    rss(),
    Object.values(m)
      .map((x) => (x / 1e6).toFixed(1))
      .join(' '),
  )
}, 3000).unref()
const cpu0 = process.cpuUsage()
const t0 = performance.now()
await Promise.all(
  devices.map(async (d, i) => {
    await new Promise((r) => setTimeout(r, (Math.random() * 1000) / rate))
    let id = 0
    while (!stop) {
      const t = performance.now()
      id = (id % 65535) + 1
      const r = await d.publish({
        topic: `t/${i}`,
        payload: Buffer.from('{"t":21.5,"n":12345}'),
        qos: 1,
        isRetained: false,
        messageId: id,
        isDup: false,
        properties: { 'bridge.device': `t-${i}`, 'bridge.arrival-time': '1763810000000' },
      })
      times.push(performance.now() - t)
      kinds[r.kind] = (kinds[r.kind] ?? 0) + 1
      await new Promise((r) => setTimeout(r, Math.max(0, 1000 / rate - (performance.now() - t))))
      if (performance.now() - t0 > seconds * 1000) stop = true
    }
  }),
)
const cpu = process.cpuUsage(cpu0)
const el = (performance.now() - t0) / 1000
times.splice(0, (times.length * 0.2) | 0)
times.sort((a, b) => a - b)
console.log({
  rss: rss(),
  kinds,
  perSecond: (times.length / 0.8 / el).toFixed(0),
  p50: times[(times.length * 0.5) | 0].toFixed(1),
  p99: times[(times.length * 0.99) | 0].toFixed(1),
  cpuPercent: ((cpu.user + cpu.system) / 1e4 / el).toFixed(0),
  commits: up.status().windowCommits,
})
await up.close()
console.log('closed', rss())
