/** What the schema of a Modbus link cannot say. */
import { validate } from 'node-cron'
import type { EntryFault } from '../config/entry-fault.ts'
import { TopicPattern } from '../outlet/topic-pattern.ts'
import type { ModbusDeviceConfig, ModbusLinkConfig } from './config.ts'
import { isBit, widthOf } from './read-plan.ts'
import { nameOf } from './register-value.ts'

/** %p, the port; %u, the unit; %k, the name of a value. */
const LETTERS = 'puk'
const LAST_ADDRESS = 65_535

export function modbusLinkFaults({ devices, timezone }: ModbusLinkConfig): EntryFault[] {
  const faults: EntryFault[] = []
  if (timezone !== 'system' && !isTimezone(timezone)) {
    faults.push({
      path: ['timezone'],
      message: `there is no time zone "${timezone}"`,
      hint: 'such as Europe/Berlin, or system',
    })
  }
  for (const [index, device] of devices.entries()) {
    const first = devices.findIndex(({ unit }) => unit === device.unit)
    const found = deviceFaults(device)
    if (first !== index) {
      const message = `devices[${first}] is unit ${device.unit}, too`
      found.push({ path: ['unit'], message, hint: 'name each unit once, with all of its registers' })
    }
    faults.push(...found.map((fault) => ({ ...fault, path: ['devices', index, ...fault.path] })))
  }
  return faults
}

function deviceFaults({ schedule, topic, registers }: ModbusDeviceConfig): EntryFault[] {
  const faults: EntryFault[] = []
  if (!validate(schedule)) {
    const hint = 'six fields, seconds first: "*/10 * * * * *" is every ten seconds'
    faults.push({ path: ['schedule'], message: `"${schedule}" is no schedule`, hint })
  }
  addTopicFault(faults, ['topic'], topic)
  const names = new Set<string>()
  for (const [index, register] of registers.entries()) {
    const path = ['registers', index]
    if (register.topic !== undefined) addTopicFault(faults, [...path, 'topic'], register.topic)
    const name = nameOf(register)
    if (names.has(name)) {
      faults.push({
        path,
        message: `two registers are called "${name}"`,
        hint: 'give each a name of its own',
      })
    }
    names.add(name)
    if (register.address + widthOf(register) - 1 > LAST_ADDRESS) {
      const message = `${register.type} needs two registers, and ${register.address} is the last`
      faults.push({ path: [...path, 'address'], message, hint: 'check address and type' })
    }
    if (isBit(register.kind) && register.scale !== undefined) {
      const message = `a ${register.kind} is true or false and has no scale`
      faults.push({ path: [...path, 'scale'], message, hint: 'remove it, or check kind' })
    }
  }
  return faults
}

function addTopicFault(faults: EntryFault[], path: (string | number)[], topic: string): void {
  const fault = TopicPattern.fault(topic, LETTERS)
  if (fault === null && !new TopicPattern(topic).hasFields) return
  const message = `topic "${topic}": ${fault ?? 'there are no fields to name'}`
  faults.push({ path, message, hint: 'such as plant/%p/%u/%k' })
}

function isTimezone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name })
    return true
  } catch {
    return false
  }
}
