import { expect, test } from 'vitest'
import { refusedText, spaceText } from '../../../../broker/operations/commands/status-words.ts'

const TRAFFIC = { refused: 0, refusedLogins: 0, refusedMessages: 0, fullMessages: 0, dropped: 0 }
const INGRESS = { tooLarge: 0, failed: 0, deadLetters: 0 }

test('messages and connections that were refused are told apart, and why', () => {
  expect(refusedText(TRAFFIC, INGRESS)).toBe('')
  expect(refusedText({ ...TRAFFIC, refusedMessages: 40, dropped: 1 }, { ...INGRESS, tooLarge: 1 })).toBe(
    '40 messages by a permission or a limit; 1 over limits.recordBytesMax; 1 connection ended for a fault',
  )
  expect(refusedText({ ...TRAFFIC, refused: 28, refusedLogins: 25 }, INGRESS)).toBe(
    '28 connections, 25 of them for their login',
  )
  expect(
    refusedText(
      { ...TRAFFIC, refused: 1, refusedMessages: 3, fullMessages: 3 },
      { ...INGRESS, deadLetters: 2 },
    ),
  ).toBe('3 messages for want of room; 2 in the stream dead-letters; 1 connection')
})

test('more is never in reserve than is free', () => {
  const space = { usedBytes: 9_100_000, bytesMax: null, reserveBytes: 134_000_000 }
  expect(spaceText({ ...space, freeBytes: 119_000_000 })).toBe(
    '9.1 MB used; 119 MB free, all of it in reserve (134 MB)',
  )
  expect(spaceText({ ...space, bytesMax: 200_000_000, freeBytes: 297_000_000 })).toBe(
    '9.1 MB of 200 MB used; 297 MB free, 134 MB of them in reserve',
  )
  expect(spaceText({ ...space, freeBytes: null })).toBe('9.1 MB used')
})
