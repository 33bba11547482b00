import mqtt from 'mqtt'

const [port, qos = '1', n = '200', rate = '10', seconds = '15'] = process.argv.slice(2)
const clients = await Promise.all(
  Array.from({ length: +n }, (_, i) =>
    mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { clientId: `p-${i}`, protocolVersion: 5 }),
  ),
)
const times = []
let stop = false
const t0 = performance.now()
const cpu0 = process.cpuUsage()
await Promise.all(
  clients.map(async (c, i) => {
    await new Promise((r) => setTimeout(r, (Math.random() * 1000) / rate))
    while (!stop) {
      const t = performance.now()
      await c.publishAsync(`p/${i}`, '{"t":21.5,"n":12345}', { qos: +qos })
      times.push(performance.now() - t)
      await new Promise((r) => setTimeout(r, Math.max(0, 1000 / rate - (performance.now() - t))))
      if (performance.now() - t0 > seconds * 1000) stop = true
    }
  }),
)
const el = (performance.now() - t0) / 1000
const cpu = process.cpuUsage(cpu0)
times.splice(0, (times.length * 0.2) | 0)
times.sort((a, b) => a - b)
console.log('plain qos', qos, {
  perSecond: (times.length / 0.8 / el).toFixed(0),
  p50: times[(times.length * 0.5) | 0].toFixed(1),
  p99: times[(times.length * 0.99) | 0].toFixed(1),
  cpuPercent: ((cpu.user + cpu.system) / 1e4 / el).toFixed(0),
})
await Promise.all(clients.map((c) => c.endAsync(true)))
