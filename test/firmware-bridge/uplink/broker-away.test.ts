import { expect, it } from 'vitest'
import { MqttProxy } from './mqtt-proxy.ts'
import { connectOf, MemoryWindowDb, startBroker, startUplink, until } from './support.ts'

it('while the broker is away, a device that is not let in costs no write', async () => {
  const broker = await startBroker()
  const proxy = await MqttProxy.start(broker.port)
  const db = new MemoryWindowDb()
  const uplink = await startUplink(proxy.port, db, { bridgeClientId: 'own-away' })
  try {
    await proxy.close()
    await until(() => uplink.status().brokerLosses > 0)
    const { writes } = db
    await expect(uplink.connect(connectOf('knocking', { isClean: true }))).rejects.toMatchObject({
      code: 'HW_BRIDGE_BROKER_UNREACHABLE',
    })
    expect(db.writes).toBe(writes)
  } finally {
    await uplink.close()
    await broker.stop()
  }
})
