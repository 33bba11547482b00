/** Gaps of a lane: a list that grew by an entry for each record that was not handed on. */
import { expect, it } from 'vitest'
import { GAPS_MAX, Lane } from '../../../broker/log/merged-reader.ts'

const newLane = () => new Lane({ partition: 0, from: 0, end: null })

it('neighbours with one reason are one gap', () => {
  const lane = newLane()
  for (let offset = 0; offset < 200_000; offset++) lane.addGap({ from: offset, to: offset + 1, reason: 'x' })
  lane.addGap({ from: 200_000, to: 200_001, reason: 'y' })
  lane.addGap({ from: 300_000, to: 300_001, reason: 'y' })
  expect(lane.gaps).toEqual([
    { from: 0, to: 200_000, reason: 'x' },
    { from: 200_000, to: 200_001, reason: 'y' },
    { from: 300_000, to: 300_001, reason: 'y' },
  ])
})

it('a record that was handed on is in no gap', () => {
  const lane = newLane()
  lane.addGap({ from: 0, to: 1, reason: 'x' })
  lane.told(0)
  lane.addGap({ from: 2, to: 3, reason: 'x' })
  expect(lane.gaps).toEqual([
    { from: 0, to: 1, reason: 'x' },
    { from: 2, to: 3, reason: 'x' },
  ])
})

it('gaps that wait are bounded, and no missing offset is left out', () => {
  const lane = newLane()
  let at = 0
  for (let sent = 0; sent < 50; sent++) {
    for (let n = 0; n < 100; n++) {
      // compaction has left every other offset
      lane.addGap({ from: at, to: at + 1, reason: n % 2 === 0 ? 'x' : 'y' })
      at += 2
    }
    // handed on
    at += 1
    lane.told(8)
  }
  expect(lane.gaps.length).toBeLessThanOrEqual(GAPS_MAX)
  for (const [i, { from, to }] of lane.gaps.entries()) {
    expect(to).toBeGreaterThan(from)
    if (i > 0) expect(from).toBeGreaterThanOrEqual(lane.gaps[i - 1]!.to)
  }
  expect(lane.gaps.some(({ reason }) => reason === 'several reasons')).toBe(true)
  // the record after the 49th stretch was handed on
  const handedOn = 49 * 201 - 1
  expect(lane.gaps.some(({ from, to }) => from <= handedOn && handedOn < to)).toBe(false)
})
