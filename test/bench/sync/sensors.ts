/**
 * A stream as sensors send it: small JSON objects, most of each the same as the last one of that sensor, values that
 * wander slowly. The same in every run.
 */
import { partitionOf } from '../../../broker/log/murmur2.ts'
import type { BacklogRecord } from './backlog.ts'

const SENSORS = 40
const SEED = 362_436_069
const FIRST_MS = 1_767_225_600_000
const INTERVAL_MS = 250

interface Sensor {
  readonly key: Buffer
  readonly partition: number
  readonly name: string
  celsius: number
  humidity: number
  bar: number
  sequence: number
}

export class SensorBacklog {
  readonly #sensors: Sensor[]
  #state = SEED
  #next = 0

  constructor(partitions: number) {
    this.#sensors = Array.from({ length: SENSORS }, (_, i) => {
      const name = `press-${String(i).padStart(2, '0')}`
      const key = Buffer.from(`plant/north/${name}/climate`)
      const partition = partitionOf(key, partitions)
      return {
        key,
        partition,
        name,
        celsius: 18 + (i % 9),
        humidity: 40 + (i % 13),
        bar: 3 + (i % 4) / 10,
        sequence: 0,
      }
    })
  }

  next(): BacklogRecord {
    const turn = this.#next++
    const sensor = this.#sensors[turn % SENSORS]!
    sensor.celsius = this.#step(sensor.celsius, 0.05)
    sensor.humidity = this.#step(sensor.humidity, 0.1)
    sensor.bar = this.#step(sensor.bar, 0.002)
    const value = {
      device: sensor.name,
      seq: ++sensor.sequence,
      ts: FIRST_MS + Math.floor(turn / SENSORS) * INTERVAL_MS + this.#random(4),
      celsius: Number(sensor.celsius.toFixed(2)),
      humidity: Number(sensor.humidity.toFixed(1)),
      bar: Number(sensor.bar.toFixed(3)),
      state: this.#random(200) === 0 ? 'warming' : 'running',
    }
    return { key: sensor.key, partition: sensor.partition, value: Buffer.from(JSON.stringify(value)) }
  }

  /** Half of the time a sensor reads what it read before. */
  #step(value: number, by: number): number {
    const draw = this.#random(4)
    return draw === 0 ? value + by : draw === 1 ? value - by : value
  }

  /** 0 to below `below`, from a 32-bit xorshift (Marsaglia, 2003). */
  #random(below: number): number {
    this.#state ^= this.#state << 13
    this.#state ^= this.#state >>> 17
    this.#state ^= this.#state << 5
    return (this.#state >>> 8) % below
  }
}
