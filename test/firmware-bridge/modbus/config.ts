import type {
  ModbusDeviceConfig,
  ModbusLinkConfig,
  RegisterConfig,
} from '../../../firmware-bridge/modbus/config.ts'
import { serialConfig } from '../links/config.ts'

export function register(address: number, more: Partial<RegisterConfig> = {}): RegisterConfig {
  return { address, kind: 'holding', type: 'uint16', wordOrder: 'abcd', ...more }
}

export function device(
  unit: number,
  registers: RegisterConfig[],
  more: Partial<ModbusDeviceConfig> = {},
): ModbusDeviceConfig {
  return {
    unit,
    schedule: '* * * * * *',
    topic: 'modbus/%p/%u',
    // a busy machine must not look like a silent device
    timeoutMs: 5000,
    backoffSecondsMax: 60,
    registers,
    ...more,
  }
}

export function modbusConfig(port: string, devices: ModbusDeviceConfig[]): ModbusLinkConfig {
  const { messageBytesMax: _, retryMs: __, protocol: ___, ...serial } = serialConfig(port)
  return {
    ...serial,
    protocol: 'modbus',
    devices,
    timezone: 'system',
    queueMessagesMax: 100,
    queueBytesMax: 100_000,
  }
}
