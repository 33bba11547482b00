import { describe, expect, it } from 'vitest'
import { NoiseDetector } from '../../../firmware-bridge/framing/noise-detector.ts'

describe('the noise detector', () => {
  it('tells garbage once', () => {
    const detector = new NoiseDetector()
    const told = Array.from({ length: 1000 }, () => detector.note(0, 1, 50))
    expect(told.filter((change) => change !== null)).toEqual(['noise'])
    expect(detector.isNoise).toBe(true)
  })

  it('tells bytes that never become a frame', () => {
    const detector = new NoiseDetector()
    expect(detector.note(0, 0, 4000)).toBeNull()
    expect(detector.note(0, 0, 100)).toBe('noise')
  })

  it('takes a long frame that is on its way for no noise', () => {
    const detector = new NoiseDetector(10_000)
    for (let bytes = 0; bytes < 10_000; bytes += 100) expect(detector.note(0, 0, 100)).toBeNull()
    expect(detector.note(1, 0, 0)).toBeNull()
    expect(detector.note(0, 0, 10_000)).toBeNull()
    expect(new NoiseDetector(10_000).note(0, 0, 20_000)).toBe('noise')
  })

  it('is silent on a line that only loses some frames', () => {
    const detector = new NoiseDetector()
    for (let i = 0; i < 1000; i++)
      expect(detector.note(i % 4 === 0 ? 1 : 0, i % 4 === 0 ? 0 : 1, 60)).toBeNull()
  })

  it('is not misled by a frame that is good by chance', () => {
    const detector = new NoiseDetector()
    const told = Array.from({ length: 40 }, (_, i) => detector.note(i === 7 ? 1 : 0, i === 7 ? 0 : 1, 60))
    expect(told).toContain('noise')
  })

  it('tells when most is good again, and then garbage anew', () => {
    const detector = new NoiseDetector()
    detector.note(0, 40, 0)
    expect(detector.note(40, 3, 0)).toBe('recovered')
    expect(detector.isNoise).toBe(false)
    expect(detector.note(0, 40, 0)).toBe('noise')
  })
})
