/** Whether the broker does what it is for: takes messages and makes them durable. */
import type { BrokerStatus } from './operations.ts'

/** @returns why not, in one clause each; none where it does */
export function notReady({ log, mqtt }: Pick<BrokerStatus, 'log' | 'mqtt'>): string[] {
  const reasons: string[] = []
  if (log.condition !== 'open') reasons.push(`the log takes no records: ${log.reason ?? log.condition}`)
  if (log.space.isFull) reasons.push('the disk is full: nothing new is taken')
  if (mqtt.listeners.length === 0) reasons.push('nothing listens for MQTT clients')
  return reasons
}
