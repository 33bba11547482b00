/** Twenty sensors that do not exist, and behave as if they did. */
import { type Random, seededRandom } from './random.ts'
import { round, type Sensor } from './sensor.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

type Simulate = (id: number, random: Random) => Sensor

export function simulatedSensors(seed: number): Sensor[] {
  const kinds: Simulate[] = [
    ...Array.from({ length: 6 }, () => temperature),
    ...Array.from({ length: 2 }, () => humidity),
    ...Array.from({ length: 2 }, () => pressure),
    ...Array.from({ length: 3 }, () => door),
    ...Array.from({ length: 3 }, () => vibration),
    tracker,
    powerMeter,
    waterMeter,
    battery,
  ]
  // A generator each: one more sensor does not change the others.
  return kinds.map((simulate, index) => simulate(index + 1, seededRandom(seed * 1000 + index)))
}

function topicOf(id: number, what: string): string {
  return `demo/sensors/${String(id).padStart(2, '0')}/${what}`
}

/** -1 in the early morning, +1 in the afternoon. */
function dayWave(now: number): number {
  return -Math.cos((2 * Math.PI * ((now % DAY_MS) - 4 * HOUR_MS)) / DAY_MS)
}

function temperature(id: number, random: Random): Sensor {
  const mean = random.between(8, 24)
  const swing = random.between(1, 7)
  let drift = 0
  return {
    topic: topicOf(id, 'temperature'),
    tick(now) {
      drift = drift * 0.99 + random.normal() * 0.05
      const celsius = mean + swing * dayWave(now) + drift + random.normal() * 0.03
      return { payload: { sensor: id, celsius: round(celsius, 2) }, afterMs: 2000 }
    },
  }
}

function humidity(id: number, random: Random): Sensor {
  const mean = random.between(45, 65)
  let drift = 0
  return {
    topic: topicOf(id, 'humidity'),
    tick(now) {
      drift = drift * 0.99 + random.normal() * 0.3
      const percent = mean - 12 * dayWave(now) + drift
      return {
        payload: { sensor: id, percent: round(Math.min(100, Math.max(0, percent)), 1) },
        afterMs: 5000,
      }
    },
  }
}

function pressure(id: number, random: Random): Sensor {
  let hectopascal = random.between(995, 1030)
  return {
    topic: topicOf(id, 'pressure'),
    tick() {
      // A walk with a weak pull to the mean, so that it stays weather.
      hectopascal += random.normal() * 0.03 + (1013 - hectopascal) * 0.0005
      return { payload: { sensor: id, hectopascal: round(hectopascal, 2) }, afterMs: 10_000 }
    },
  }
}

/** Tells of changes alone: mostly shut, open for seconds. */
function door(id: number, random: Random): Sensor {
  let isOpen = true
  let openings = 0
  return {
    topic: topicOf(id, 'door'),
    tick() {
      isOpen = !isOpen
      if (isOpen) openings++
      const afterMs = isOpen ? random.between(1500, 20_000) : -Math.log(1 - random.next()) * 45_000 + 1000
      return {
        payload: { sensor: id, state: isOpen ? 'open' : 'closed', openings },
        afterMs: Math.round(afterMs),
      }
    },
  }
}

/** Twice a second at rest, ten times in a burst: a pump that starts. */
function vibration(id: number, random: Random): Sensor {
  let burstLeft = 0
  let sequence = 0
  return {
    topic: topicOf(id, 'vibration'),
    tick() {
      if (burstLeft > 0) burstLeft--
      else if (random.next() < 0.01) burstLeft = Math.round(random.between(30, 120))
      const isBurst = burstLeft > 0
      const rms = isBurst ? random.between(2.5, 6) : random.between(0.05, 0.15)
      const payload = {
        sensor: id,
        sequence: sequence++,
        rmsMmPerS: round(rms, 3),
        peakMmPerS: round(rms * random.between(1.4, 4), 3),
        hertz: isBurst ? 49 + Math.round(random.between(0, 2)) : 0,
      }
      return { payload, afterMs: isBurst ? 100 : 500 }
    },
  }
}

/** A vehicle that drives around a yard at 2 to 8 m/s. */
function tracker(id: number, random: Random): Sensor {
  const METRES_PER_DEGREE = 111_320
  const home = { latitude: 48.137, longitude: 11.575 }
  let { latitude, longitude } = home
  let heading = random.between(0, 360)
  return {
    topic: topicOf(id, 'position'),
    tick() {
      const speed = random.between(2, 8)
      const isFar = Math.hypot(latitude - home.latitude, longitude - home.longitude) > 0.01
      heading = isFar
        ? headingTo(home, { latitude, longitude })
        : (heading + random.normal() * 12 + 360) % 360
      const radians = (heading * Math.PI) / 180
      latitude += (speed * Math.cos(radians)) / METRES_PER_DEGREE
      longitude += (speed * Math.sin(radians)) / (METRES_PER_DEGREE * Math.cos((latitude * Math.PI) / 180))
      const payload = {
        sensor: id,
        latitude: round(latitude, 6),
        longitude: round(longitude, 6),
        speedMPerS: round(speed, 1),
        heading: Math.round(heading),
      }
      return { payload, afterMs: 1000 }
    },
  }
}

interface Place {
  readonly latitude: number
  readonly longitude: number
}

function headingTo(target: Place, from: Place): number {
  const radians = Math.atan2(target.longitude - from.longitude, target.latitude - from.latitude)
  return ((radians * 180) / Math.PI + 360) % 360
}

function powerMeter(id: number, random: Random): Sensor {
  const everyMs = 1000
  let wattHours = Math.round(random.between(1e6, 9e6))
  return {
    topic: topicOf(id, 'power'),
    tick(now) {
      const watts = Math.max(
        80,
        900 + 600 * dayWave(now) + random.normal() * 60 + (random.next() < 0.05 ? 2000 : 0),
      )
      wattHours += (watts * everyMs) / HOUR_MS
      return {
        payload: { sensor: id, watts: Math.round(watts), wattHours: round(wattHours, 1) },
        afterMs: everyMs,
      }
    },
  }
}

/** A counter of pulses, one a litre: only ever grows. */
function waterMeter(id: number, random: Random): Sensor {
  let litres = Math.round(random.between(1e5, 9e5))
  let flow = 0
  return {
    topic: topicOf(id, 'water'),
    tick() {
      if (random.next() < 0.1) flow = random.next() < 0.6 ? 0 : random.between(2, 14)
      litres += (flow * 3) / 60
      const payload = { sensor: id, litres: Math.floor(litres), litresPerMinute: round(flow, 1) }
      return { payload, afterMs: 3000 }
    },
  }
}

function battery(id: number, random: Random): Sensor {
  let percent = random.between(60, 100)
  return {
    topic: topicOf(id, 'battery'),
    tick() {
      percent = percent < 5 ? 100 : percent - random.between(0, 0.02)
      const volts = 3.2 + (percent / 100) * 0.95 + random.normal() * 0.004
      return { payload: { sensor: id, percent: round(percent, 1), volts: round(volts, 3) }, afterMs: 15_000 }
    },
  }
}
