/** The programs of this machine, by its PATH: tests that take one are skipped where it is not. */
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

/** The file that the name stands for. */
export function placeOf(program: string): string | undefined {
  return (process.env.PATH ?? '')
    .split(delimiter)
    .map((folder) => join(folder, program))
    .find((file) => existsSync(file))
}

export const isOnPath = (program: string): boolean => placeOf(program) !== undefined
