import { expect, test } from 'vitest'
import { explained, FileAccessError, UsageError } from '../../../broker/operations/errors.ts'
import { exitCodeFor } from '../../../broker/operations/exit-codes.ts'

const refused = (code: string, path?: string) =>
  Object.assign(new Error(`${code}: it is refused`), { code, path })

test.each([
  ['EACCES', '/data/users.json: no permission'],
  ['EROFS', '/data/users.json: the file system is read-only'],
  ['ENOSPC', '/data/users.json: no space is left'],
])('what the system refuses with %s is told with its path and a way out', (code, message) => {
  const error = explained(refused(code, '/data/users.json'))
  expect(error).toBeInstanceOf(FileAccessError)
  expect(error).toMatchObject({ code: 'HW_FILE_ACCESS', message, hint: expect.stringMatching(/.+/) })
  expect(exitCodeFor(error)).toBe(5)
})

test('a write that finds no room is told without its path, too', () => {
  expect(explained(refused('ENOSPC'))).toMatchObject({
    message: 'the disk: no space is left',
    hint: 'free some',
  })
})

test('what is a fault of the program stays one', () => {
  for (const error of [
    refused('EACCES'),
    refused('EBADF', '/data'),
    new UsageError('a', 'b'),
    'text',
    null,
  ]) {
    expect(explained(error)).toBe(error)
  }
})
