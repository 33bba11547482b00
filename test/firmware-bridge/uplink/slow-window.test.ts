/**
 * A window whose disk is slower than a connection is made anew: PUBREC comes on the next one before the disk has the entry that the first one asked for.
 * It took a second slot, and the first was never free again.
 */
import { expect, it } from 'vitest'
import type { WindowChange } from '../../../firmware-bridge/uplink/window-db.ts'
import { MqttProxy } from './mqtt-proxy.ts'
import { connectOf, MemoryWindowDb, message, startBroker, startUplink, until } from './support.ts'

class SlowWindowDb extends MemoryWindowDb {
  /** What is written waits for it. */
  gate = Promise.resolve()

  override async write(changes: readonly WindowChange[], isSynced: boolean): Promise<void> {
    await this.gate
    await super.write(changes, isSynced)
  }
}

it('a message that the broker acknowledges twice while the disk writes has one slot, and gives it back', async () => {
  const broker = await startBroker()
  const proxy = await MqttProxy.start(broker.port)
  const db = new SlowWindowDb()
  const uplink = await startUplink(proxy.port, db, { bridgeClientId: 'own-slow' })
  let pubrecs = 0
  proxy.watch = (packet, isUp) => {
    if (packet.cmd === 'pubrec' && !isUp) pubrecs++
    return 'pass'
  }
  try {
    const session = await uplink.connect(connectOf('slow', { isClean: true }))
    let open = () => {}
    db.gate = new Promise((resolve) => {
      open = resolve
    })
    void session.publish(message('slow', 'once'))
    await until(() => pubrecs === 1)
    proxy.cut()
    await until(() => pubrecs === 2)
    open()
    await until(() => uplink.status().inFlight === 0)
    expect(await session.publish(message('slow', 'once', { isDup: true }))).toEqual({ kind: 'repeated' })
    expect(await broker.records('slow')).toHaveLength(1)
  } finally {
    await uplink.close()
    await proxy.close()
    await broker.stop()
  }
})
